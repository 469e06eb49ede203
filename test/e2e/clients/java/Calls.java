import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.http.StreamResponse;
import com.openai.errors.BadRequestException;
import com.openai.errors.NotFoundException;
import com.openai.errors.UnauthorizedException;
import com.openai.helpers.ChatCompletionAccumulator;
import com.openai.helpers.ResponseAccumulator;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionNamedToolChoice;
import com.openai.models.completions.CompletionCreateParams;
import com.openai.models.embeddings.EmbeddingCreateParams;
import com.openai.models.moderations.ModerationCreateParams;
import com.openai.models.responses.ResponseCreateParams;
import com.openai.models.responses.ResponseStreamEvent;

/** Calls of openai-java, which Android apps use. Each answer is validated: that throws on any field that OpenAI requires and an answer lacks. */
public final class Calls {
    /** What a tool takes, and what an answer has to hold. */
    public static final class Weather {
        @JsonPropertyDescription("Whether it is warm")
        public boolean warm;
    }

    private static String model;

    private static ChatCompletionCreateParams.Builder ask() {
        return ChatCompletionCreateParams.builder().model(model).addUserMessage("Is Rome warm?").maxCompletionTokens(64).temperature(0);
    }

    private static ResponseCreateParams response() {
        return ResponseCreateParams.builder().model(model).input("Say hello.").maxOutputTokens(8).build();
    }

    private static OpenAIClient client(String baseUrl, String key) {
        return OpenAIOkHttpClient.builder().baseUrl(baseUrl).apiKey(key).maxRetries(0).build();
    }

    public static void main(String[] arguments) {
        OpenAIClient client = client(arguments[0], arguments[1]);
        model = arguments[2];
        Report.of("chat", () -> {
            var answer = client.chat().completions().create(ask().build()).validate();
            Report.check(!answer.choices().get(0).message().content().orElse("").isEmpty(), "no text");
            Report.check(answer.usage().isPresent(), "no usage");
        });
        Report.of("stream", () -> {
            var whole = ChatCompletionAccumulator.create();
            try (StreamResponse<ChatCompletionChunk> stream = client.chat().completions().createStreaming(ask().build())) {
                stream.stream().forEach(chunk -> whole.accumulate(chunk.validate()));
            }
            var answer = whole.chatCompletion().choices().get(0);
            Report.check(!answer.message().content().orElse("").isEmpty(), "no text");
        });
        Report.of("tools", () -> {
            var named = ChatCompletionNamedToolChoice.Function.builder().name("Weather").build();
            var ask = ask().addTool(Weather.class).toolChoice(ChatCompletionNamedToolChoice.builder().function(named).build()).build();
            var message = client.chat().completions().create(ask).validate().choices().get(0).message();
            var call = message.toolCalls().orElseThrow().get(0).asFunction();
            Report.check(call.function().name().equals("Weather"), "another tool");
            call.function().arguments(Weather.class);
        });
        Report.of("json-schema", () -> {
            var ask = ask().responseFormat(Weather.class).build();
            var answer = client.chat().completions().create(ask).choices().get(0).message().content();
            Report.check(answer.isPresent(), "no answer");
        });
        Report.of("embeddings", () -> {
            var ask = EmbeddingCreateParams.builder().model(arguments[3]).input("the sea").build();
            var embedding = client.embeddings().create(ask).validate().data().get(0).embedding();
            double sum = embedding.stream().mapToDouble(value -> (double) value * value).sum();
            Report.check(Math.abs(sum - 1) < 1e-5, "its length is the root of " + sum);
        });
        Report.of("responses", () -> {
            var answer = client.responses().create(response()).validate();
            var stored = client.responses().retrieve(answer.id()).validate();
            Report.check(stored.output().equals(answer.output()), "another answer is stored");
            client.responses().delete(answer.id());
        });
        Report.of("errors", () -> {
            expect(NotFoundException.class, () -> client.chat().completions().create(ask().model("none").build()));
            expect(BadRequestException.class, () -> client.chat().completions().create(ask().temperature(5).build()));
            expect(UnauthorizedException.class, () -> client(arguments[0], "sk-wrong").models().list());
        });
        Report.of("responses-stream", () -> {
            var whole = ResponseAccumulator.create();
            try (StreamResponse<ResponseStreamEvent> stream = client.responses().createStreaming(response())) {
                stream.stream().forEach(event -> whole.accumulate(event.validate()));
            }
            Report.check(!whole.response().validate().output().isEmpty(), "no output");
        });
        Report.of("completions", () -> {
            var ask = CompletionCreateParams.builder().model(model).prompt("The sky is").maxTokens(4).logprobs(2).build();
            var choice = client.completions().create(ask).validate().choices().get(0);
            Report.check(choice.logprobs().orElseThrow().tokens().orElseThrow().size() <= 4, "too many tokens");
        });
        Report.of("moderations", () -> {
            var ask = ModerationCreateParams.builder().input("A wonderful day.").build();
            Report.check(!client.moderations().create(ask).validate().results().get(0).flagged(), "flagged");
        });
        Report.of("models", () -> {
            Report.check(client.models().retrieve(model).validate().id().equals(model), "another model");
            client.models().list().data().forEach(one -> one.validate());
        });
        System.exit(0); // its HTTP client's threads would keep it for a minute
    }

    private static void expect(Class<? extends Exception> kind, Report.Call call) throws Exception {
        try {
            call.run();
        } catch (Exception error) {
            Report.check(kind.isInstance(error), "not " + kind.getSimpleName() + ": " + error);
            return;
        }
        throw new AssertionError("no " + kind.getSimpleName());
    }

    private Calls() {}
}
