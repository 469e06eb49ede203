#!/bin/sh
# Calls with curl alone: sh curl.sh BASE_URL API_KEY MODEL
set -eu
base=$1 key=$2 model=$3
call() {
  name=$1 pattern=$2
  shift 2
  if curl -sS --max-time 60 -H "authorization: Bearer $key" -H 'content-type: application/json' "$@" | grep -q "$pattern"; then
    echo "ok    $name"
  else
    echo "FAIL  $name"
    exit 1
  fi
}
ask='"messages":[{"role":"user","content":"Say hello."}],"max_tokens":8'
call models "\"id\":\"$model\"" "$base/models"
call chat '"finish_reason"' "$base/chat/completions" -d "{\"model\":\"$model\",$ask}"
call stream '^data: \[DONE\]' -N "$base/chat/completions" -d "{\"model\":\"$model\",$ask,\"stream\":true}"
call responses '"object":"response"' "$base/responses" -d "{\"model\":\"$model\",\"input\":\"Say hello.\",\"max_output_tokens\":8}"
call 'responses stream' '^event: response\.\(completed\|incomplete\)' -N "$base/responses" -d "{\"model\":\"$model\",\"input\":\"Hi\",\"max_output_tokens\":8,\"stream\":true}"
call error '"code":"model_not_found"' "$base/chat/completions" -d "{\"model\":\"none\",$ask}"
call classify '"label":' "$base/classify" -d "{\"model\":\"$model\",\"input\":\"A wonderful day.\",\"task\":\"sentiment\"}"
