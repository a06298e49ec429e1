#!/bin/sh
# Subscribes the deployed function to the recording events. azd runs it after each deployment; running it again changes
# nothing. Without azd: set the variables below from the outputs of main.bicep and run it.
set -eu

missing=
for name in AZURE_RESOURCE_GROUP AZURE_FUNCTION_APP_NAME AZURE_FUNCTION_APP_ID EVENT_TOPIC_NAME \
    EVENT_TOPIC_RESOURCE_GROUP EVENT_IDENTITY_ID EVENT_FUNCTION_NAME EVENT_TTL_MINUTES ARCHIVE_STORAGE_ID \
    DEAD_LETTER_CONTAINER; do
    eval "value=\${$name:-}"
    # shellcheck disable=SC2154 # assigned by the eval above
    [ -n "$value" ] || missing="$missing $name"
done
if [ -n "$missing" ]; then
    echo "postdeploy: not set:$missing. They are outputs of infra/main.bicep: run azd provision, or set them by hand." >&2
    exit 1
fi

# How long the function may take to appear, and the pause between two looks; seconds.
wait_seconds=${FUNCTION_WAIT_SECONDS:-600}
pause=${FUNCTION_WAIT_PAUSE:-10}
template=$(dirname "$0")/../events.bicep

azure() {
    if [ -n "${AZURE_SUBSCRIPTION_ID:-}" ]; then
        az "$@" --subscription "$AZURE_SUBSCRIPTION_ID"
    else
        az "$@"
    fi
}

command -v az >/dev/null 2>&1 || {
    echo "postdeploy: az is not on PATH: install the Azure CLI (https://aka.ms/azure-cli) and run azd hooks run postdeploy." >&2
    exit 1
}
# A sign-in that is missing would otherwise look like a function that is late.
if ! problem=$(azure account show --output none 2>&1); then
    echo "postdeploy: az is not signed in: run az login (in a workflow, azure/login), then azd hooks run postdeploy." >&2
    echo "$problem" >&2
    exit 1
fi

echo "Waiting for $EVENT_FUNCTION_NAME in $AZURE_FUNCTION_APP_NAME, $wait_seconds s at most"
waited=0
while ! problem=$(azure functionapp function show --resource-group "$AZURE_RESOURCE_GROUP" \
    --name "$AZURE_FUNCTION_APP_NAME" --function-name "$EVENT_FUNCTION_NAME" --output none 2>&1); do
    if [ "$waited" -ge "$wait_seconds" ]; then
        echo "postdeploy: $EVENT_FUNCTION_NAME did not appear within $wait_seconds s, so nothing is subscribed. See why the app does not load (az webapp log tail --resource-group $AZURE_RESOURCE_GROUP --name $AZURE_FUNCTION_APP_NAME), deploy again, then azd hooks run postdeploy. The last answer was:" >&2
        echo "$problem" >&2
        exit 1
    fi
    echo "  not there yet after $waited s"
    sleep "$pause"
    waited=$((waited + (pause > 0 ? pause : 1)))
done

echo "Subscribing it to $EVENT_TOPIC_NAME"
try=1
# The function is listed a little before the app answers Event Grid's handshake.
while ! state=$(azure deployment group create --resource-group "$EVENT_TOPIC_RESOURCE_GROUP" --name recording-events \
    --template-file "$template" --query properties.provisioningState --output tsv --parameters \
    "topicName=$EVENT_TOPIC_NAME" \
    "functionAppId=$AZURE_FUNCTION_APP_ID" \
    "functionName=$EVENT_FUNCTION_NAME" \
    "archiveStorageId=$ARCHIVE_STORAGE_ID" \
    "deadLetterContainerName=$DEAD_LETTER_CONTAINER" \
    "eventIdentityId=$EVENT_IDENTITY_ID" \
    "timeToLiveMinutes=$EVENT_TTL_MINUTES" \
    "callFunctionName=${EVENT_CALL_FUNCTION_NAME:-}"); do
    if [ "$try" -ge 3 ]; then
        echo "postdeploy: the subscription could not be made; the reason is above, more of it in: az deployment operation group list --resource-group $EVENT_TOPIC_RESOURCE_GROUP --name recording-events" >&2
        exit 1
    fi
    echo "  try $try of 3 failed; again in $pause s"
    sleep "$pause"
    try=$((try + 1))
done
echo "Subscription recording-files: $state"
