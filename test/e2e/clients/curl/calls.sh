#!/bin/sh
# Calls with curl alone: sh calls.sh BASE_URL API_KEY MODEL EMBEDDING_MODEL
set -u
base=$1 key=$2 model=$3 embedder=$4
# call CASE PATTERN curl's arguments…: the answer has to have the pattern.
call() {
  name=$1 pattern=$2
  shift 2
  answer=$(curl -sS --max-time 120 -H "authorization: Bearer $key" -H 'content-type: application/json' "$@" 2>&1)
  if printf '%s\n' "$answer" | grep -q "$pattern"; then
    printf 'ok\tcurl\t%s\n' "$name"
  else
    printf 'FAIL\tcurl\t%s\t%s\n' "$name" "$(printf '%s' "$answer" | tr '\n\t' '  ' | cut -c 1-500)"
  fi
}
ask='"messages":[{"role":"user","content":"Is Rome warm?"}],"max_tokens":64,"temperature":0'
schema='{"type":"object","properties":{"warm":{"type":"boolean"}},"required":["warm"],"additionalProperties":false}'
tool="{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":$schema}}"
call chat '"finish_reason"' "$base/chat/completions" -d "{\"model\":\"$model\",$ask}"
call stream '^data: \[DONE\]' -N "$base/chat/completions" -d "{\"model\":\"$model\",$ask,\"stream\":true}"
call tools '"name":"weather"' "$base/chat/completions" \
  -d "{\"model\":\"$model\",$ask,\"tools\":[$tool],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"weather\"}}}"
call json-schema '\\"warm\\"' "$base/chat/completions" \
  -d "{\"model\":\"$model\",$ask,\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"w\",\"strict\":true,\"schema\":$schema}}}"
call embeddings '"object":"embedding"' "$base/embeddings" -d "{\"model\":\"$embedder\",\"input\":[\"the sea\",\"is blue\"]}"
call responses '"object":"response"' "$base/responses" -d "{\"model\":\"$model\",\"input\":\"Say hello.\",\"max_output_tokens\":8}"
call errors '"code":"model_not_found"' "$base/chat/completions" -d "{\"model\":\"none\",$ask}"
call models "\"id\":\"$model\"" "$base/models"
call responses-stream '^event: response\.\(completed\|incomplete\)' -N "$base/responses" \
  -d "{\"model\":\"$model\",\"input\":\"Hi\",\"max_output_tokens\":8,\"stream\":true}"
call classify '"label":' "$base/classify" -d "{\"model\":\"$model\",\"input\":\"A wonderful day.\",\"task\":\"sentiment\"}"
call moderations '"flagged"' "$base/moderations" -d '{"input":"A wonderful day."}'
call head '^HTTP/1.1 200' -I "$base/models"
