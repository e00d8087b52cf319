#!/bin/sh
# Start a sync and wait for its end. Needs API_KEY and CONNECTION in the environment. Exit status 0: it succeeded.
set -eu
jobs="https://gateway.example.com/api/v1/connections/$CONNECTION"
answer=$(mktemp) head=$(mktemp)
trap 'rm -f "$answer" "$head"' EXIT

# Call an address: the status is in $status, the body in the file $answer.
call() {
  while :; do
    status=$(curl -sS -m 90 -o "$answer" -D "$head" -w '%{http_code}' -H "Authorization: Bearer $API_KEY" "$@") || true
    case $status in
      429 | 503) sleep "$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]*\).*/\1/p' "$head" | grep . || echo 5)" ;;
      *) return ;;
    esac
  done
}

first_number() { grep -o '"jobId":[0-9]*' "$answer" | head -n 1 | cut -d: -f2 | grep . || echo 0; }
first_status() { grep -o '"status":"[^"]*"' "$answer" | head -n 1 | cut -d'"' -f4; }
give_up() { echo "HTTP $status: $(cat "$answer")" >&2; exit 1; }

# The newest sync, to recognise ours if the answer to its start is lost.
newest() {
  while :; do
    call "$jobs/jobs?limit=1"
    case $status in
      200) first_number; return ;;
      000 | 502 | 504) sleep 5 ;;
      *) give_up ;;
    esac
  done
}

before=$(newest)
job=""
while [ -z "$job" ]; do
  call -X POST -H "Prefer: wait=60" "$jobs/sync"
  case $status in
    200) job=$(first_number) ;;
    000 | 502 | 504)
      # A sync may have started or not: look before starting again.
      sleep 5
      now=$(newest)
      [ "$now" -le "$before" ] || job=$now ;;
    *) give_up ;;
  esac
done

while :; do
  call -H "Prefer: wait=60" "$jobs/jobs/$job"
  case $status in
    200)
      case $(first_status) in
        succeeded) echo "Sync $job succeeded"; exit 0 ;;
        failed | cancelled) echo "Sync $job $(first_status): $(cat "$answer")" >&2; exit 1 ;;
      esac
      # Answered at once: too many of your calls wait.
      grep -qi '^preference-applied:' "$head" || sleep 10 ;;
    000 | 502 | 504) sleep 10 ;;
    *) give_up ;;
  esac
done
