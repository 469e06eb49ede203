"""llama.cpp's own server, from the PyPI wheel xllamacpp: peer.py GGUF PORT THREADS [guess]. Ends with its standard input."""
import sys, xllamacpp as x
p = x.CommonParams()
p.model.path = sys.argv[1]; p.port = int(sys.argv[2]); p.n_parallel = 8; p.n_ctx = 16384
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = int(sys.argv[3]); p.cache_prompt = False
p.n_threads_http = 10; p.verbosity = 0; p.hostnames = ['127.0.0.1']
if 'guess' in sys.argv: p.speculative.types = [x.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
s = x.Server(p)
print('ready', s.listening_address, flush=True)
sys.stdin.read()
