// Calls that openai-go makes of a server: go run . BASE_URL API_KEY MODEL
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

func main() {
	baseURL, key, model := os.Args[1], os.Args[2], os.Args[3]
	client := openai.NewClient(option.WithBaseURL(baseURL), option.WithAPIKey(key), option.WithMaxRetries(0))
	ctx := context.Background()
	chat := openai.ChatCompletionNewParams{
		Model:               model,
		Messages:            []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Say hello.")},
		MaxCompletionTokens: openai.Int(8),
	}
	response := responses.ResponseNewParams{
		Model:           model,
		Input:           responses.ResponseNewParamsInputUnion{OfString: openai.String("Say hello.")},
		MaxOutputTokens: openai.Int(8),
	}
	checks := []struct {
		name string
		run  func() error
	}{
		{"chat", func() error {
			answer, err := client.Chat.Completions.New(ctx, chat)
			if err == nil && answer.Choices[0].Message.Content == "" {
				return errors.New("no text")
			}
			return err
		}},
		{"chat stream", func() error {
			stream := client.Chat.Completions.NewStreaming(ctx, chat)
			text := ""
			for stream.Next() {
				for _, choice := range stream.Current().Choices {
					text += choice.Delta.Content
				}
			}
			if stream.Err() == nil && text == "" {
				return errors.New("no text")
			}
			return stream.Err()
		}},
		{"responses", func() error {
			answer, err := client.Responses.New(ctx, response)
			if err != nil {
				return err
			}
			stored, err := client.Responses.Get(ctx, answer.ID, responses.ResponseGetParams{})
			if err == nil && stored.OutputText() != answer.OutputText() {
				return errors.New("another text is stored")
			}
			return err
		}},
		{"responses stream", func() error {
			stream := client.Responses.NewStreaming(ctx, response)
			next, last := int64(0), ""
			for stream.Next() {
				event := stream.Current()
				if event.SequenceNumber != next {
					return fmt.Errorf("event %d has number %d", next, event.SequenceNumber)
				}
				next, last = next+1, event.Type
			}
			if stream.Err() == nil && last != "response.completed" && last != "response.incomplete" {
				return errors.New("ends with " + last)
			}
			return stream.Err()
		}},
		{"errors", func() error {
			wrong := chat
			wrong.Model = "none"
			_, err := client.Chat.Completions.New(ctx, wrong)
			var apiError *openai.Error
			if !errors.As(err, &apiError) || apiError.StatusCode != 404 || apiError.Code != "model_not_found" {
				return fmt.Errorf("got %v", err)
			}
			return nil
		}},
		{"models", func() error {
			_, err := client.Models.Get(ctx, model)
			return err
		}},
	}
	failed := false
	for _, check := range checks {
		if err := check.run(); err != nil {
			failed = true
			fmt.Println("FAIL ", check.name, err)
		} else {
			fmt.Println("ok   ", check.name)
		}
	}
	if failed {
		os.Exit(1)
	}
}
