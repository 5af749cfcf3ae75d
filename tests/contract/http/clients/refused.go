// Sends a large body to a URL some times and prints what it was answered each time, a line each.
// Arguments: how many times, the URL, the value of Authorization ("" for none), the body's size.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
)

func send(url, credential string, body []byte) string {
	request, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		return err.Error()
	}
	if credential != "" {
		request.Header.Set("Authorization", credential)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	var said struct{ Error struct{ Status int } }
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %d", answer.StatusCode, said.Error.Status)
}

func main() {
	times, _ := strconv.Atoi(os.Args[1])
	size, _ := strconv.Atoi(os.Args[4])
	body := make([]byte, size)
	for count := 0; count < times; count++ {
		fmt.Println(send(os.Args[2], os.Args[3], body))
	}
}
