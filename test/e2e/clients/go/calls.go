package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
)

type caller struct {
	client          openai.Client
	model, embedder string
}

type call struct {
	name string
	run  func() error
}

var ctx = context.Background()

var weather = map[string]any{
	"type": "object",
	"properties": map[string]any{
		"city": map[string]any{"type": "string", "maxLength": 12},
		"warm": map[string]any{"type": "boolean"},
	},
	"required":             []string{"city", "warm"},
	"additionalProperties": false,
}

func (c caller) calls() []call {
	return []call{
		{"chat", c.chat}, {"stream", c.stream}, {"tools", c.tools}, {"json-schema", c.jsonSchema}, {"embeddings", c.embeddings},
		{"responses", c.responses}, {"errors", c.errors}, {"responses-stream", c.responsesStream}, {"models", c.models},
	}
}

func (c caller) ask() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:               c.model,
		Messages:            []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Is Rome warm?")},
		MaxCompletionTokens: openai.Int(64),
	}
}

func (c caller) response() responses.ResponseNewParams {
	return responses.ResponseNewParams{
		Model:           c.model,
		Input:           responses.ResponseNewParamsInputUnion{OfString: openai.String("Say hello.")},
		MaxOutputTokens: openai.Int(8),
	}
}

func (c caller) chat() error {
	answer, err := c.client.Chat.Completions.New(ctx, c.ask())
	if err == nil && answer.Choices[0].Message.Content == "" {
		return errors.New("no text")
	}
	return err
}

func (c caller) stream() error {
	stream := c.client.Chat.Completions.NewStreaming(ctx, c.ask())
	whole := openai.ChatCompletionAccumulator{}
	for stream.Next() {
		if !whole.AddChunk(stream.Current()) {
			return errors.New("a chunk does not belong to the stream")
		}
	}
	if stream.Err() == nil && (whole.Choices[0].Message.Content == "" || whole.Choices[0].FinishReason == "") {
		return errors.New("no text, or no end")
	}
	return stream.Err()
}

func (c caller) tools() error {
	ask := c.ask()
	ask.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(
		openai.FunctionDefinitionParam{Name: "weather", Parameters: openai.FunctionParameters(weather)},
	)}
	ask.ToolChoice = openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: "weather"})
	answer, err := c.client.Chat.Completions.New(ctx, ask)
	if err != nil {
		return err
	}
	return holdsWeather(answer.Choices[0].Message.ToolCalls[0].Function.Arguments)
}

func (c caller) jsonSchema() error {
	ask := c.ask()
	ask.ResponseFormat = openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &openai.ResponseFormatJSONSchemaParam{
		JSONSchema: openai.ResponseFormatJSONSchemaJSONSchemaParam{Name: "weather", Schema: weather, Strict: openai.Bool(true)},
	}}
	answer, err := c.client.Chat.Completions.New(ctx, ask)
	if err != nil {
		return err
	}
	return holdsWeather(answer.Choices[0].Message.Content)
}

func holdsWeather(text string) error {
	var value struct {
		City *string
		Warm *bool
	}
	err := json.Unmarshal([]byte(text), &value)
	if err == nil && (value.City == nil || value.Warm == nil) {
		return errors.New("not the schema's: " + text)
	}
	return err
}

func (c caller) embeddings() error {
	answer, err := c.client.Embeddings.New(ctx, openai.EmbeddingNewParams{
		Model: c.embedder,
		Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"the sea", "blue"}},
	})
	if err != nil {
		return err
	}
	sum := 0.0
	for _, value := range answer.Data[1].Embedding {
		sum += value * value
	}
	if math.Abs(sum-1) > 1e-5 {
		return fmt.Errorf("its length is the root of %v", sum)
	}
	return nil
}

func (c caller) responses() error {
	answer, err := c.client.Responses.New(ctx, c.response())
	if err != nil {
		return err
	}
	stored, err := c.client.Responses.Get(ctx, answer.ID, responses.ResponseGetParams{})
	if err == nil && stored.OutputText() != answer.OutputText() {
		return errors.New("another text is stored")
	}
	return err
}

func (c caller) responsesStream() error {
	stream := c.client.Responses.NewStreaming(ctx, c.response())
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
}

func (c caller) errors() error {
	wrong := c.ask()
	wrong.Model = "none"
	_, err := c.client.Chat.Completions.New(ctx, wrong)
	var apiError *openai.Error
	if !errors.As(err, &apiError) || apiError.StatusCode != 404 || apiError.Code != "model_not_found" {
		return fmt.Errorf("got %v", err)
	}
	return nil
}

func (c caller) models() error {
	_, err := c.client.Models.Get(ctx, c.model)
	return err
}
