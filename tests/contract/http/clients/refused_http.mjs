// Sends a large body to a URL some times and prints what it was answered each time, a line each: node:http.
// Arguments: how many times, the URL, the value of Authorization ("" for none), the body's size.
import http from "node:http";

const [times, url, credential, size] = process.argv.slice(2);
const body = Buffer.alloc(Number(size));

function send() {
  return new Promise((resolve) => {
    const headers = { "Content-Length": body.length, ...(credential && { Authorization: credential }) };
    const request = http.request(url, { method: "POST", headers }, (answer) => {
      let text = "";
      answer.on("data", (piece) => (text += piece));
      answer.on("end", () => resolve(`${answer.statusCode} ${JSON.parse(text).error.status}`));
      answer.on("error", (error) => resolve(String(error)));
    });
    request.on("error", (error) => resolve(String(error)));
    request.end(body);
  });
}

for (let count = 0; count < Number(times); count++) console.log(await send());
