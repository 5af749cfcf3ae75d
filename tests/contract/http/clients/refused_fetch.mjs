// Sends a large body to a URL some times and prints what it was answered each time, a line each: fetch.
// Arguments: how many times, the URL, the value of Authorization ("" for none), the body's size.
const [times, url, credential, size] = process.argv.slice(2);
const body = Buffer.alloc(Number(size));

async function send() {
  try {
    const answer = await fetch(url, { method: "POST", body, headers: credential ? { Authorization: credential } : {} });
    return `${answer.status} ${(await answer.json()).error.status}`;
  } catch (error) {
    return `${error} ${error.cause}`;
  }
}

for (let count = 0; count < Number(times); count++) console.log(await send());
