// Calls of openai-go: calls BASE_URL API_KEY MODEL EMBEDDING_MODEL
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func main() {
	caller := caller{
		client: openai.NewClient(option.WithBaseURL(os.Args[1]), option.WithAPIKey(os.Args[2]), option.WithMaxRetries(0)),
		model:  os.Args[3], embedder: os.Args[4],
	}
	for _, call := range caller.calls() {
		if err := call.run(); err != nil {
			detail := strings.NewReplacer("\n", " | ", "\t", " ").Replace(err.Error())
			fmt.Printf("FAIL\topenai-go\t%s\t%s\n", call.name, detail)
		} else {
			fmt.Printf("ok\topenai-go\t%s\n", call.name)
		}
	}
}
