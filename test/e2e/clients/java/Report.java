/** Reports calls, a line each. */
final class Report {
    interface Call {
        void run() throws Exception;
    }

    static void of(String name, Call call) {
        try {
            call.run();
            System.out.printf("ok\topenai-java\t%s%n", name);
        } catch (Exception | AssertionError error) {
            System.out.printf("FAIL\topenai-java\t%s\t%s%n", name, error.toString().replaceAll("\\s+", " "));
        }
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) throw new AssertionError(otherwise);
    }

    private Report() {}
}
