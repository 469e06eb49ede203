module penstock.example/clients

go 1.22

require github.com/openai/openai-go/v3 v3.96.0
