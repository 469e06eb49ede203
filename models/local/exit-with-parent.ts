/**
 * Preloaded into each child of `npm start`: when the supervisor is gone, however it went, the child stops as if it had been asked to.
 * A killed supervisor would otherwise leave its children on their ports, and the next start would find them taken.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
