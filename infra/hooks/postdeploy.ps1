# Subscribes the deployed function to the recording events. azd runs it after each deployment; running it again changes
# nothing. Without azd: set the variables below from the outputs of main.bicep and run it.
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
# az speaks through its exit code; PowerShell 7.4 would turn that into an exception of its own.
$PSNativeCommandUseErrorActionPreference = $false

function Stop-Hook([string] $Message, $Details) {
    [Console]::Error.WriteLine("postdeploy: $Message")
    if ($Details) { $Details | ForEach-Object { [Console]::Error.WriteLine("$_") } }
    exit 1
}

$names = 'AZURE_RESOURCE_GROUP', 'AZURE_FUNCTION_APP_NAME', 'AZURE_FUNCTION_APP_ID', 'EVENT_TOPIC_NAME',
    'EVENT_TOPIC_RESOURCE_GROUP', 'EVENT_IDENTITY_ID', 'EVENT_FUNCTION_NAME', 'EVENT_TTL_MINUTES', 'ARCHIVE_STORAGE_ID',
    'DEAD_LETTER_CONTAINER'
$missing = @($names | Where-Object { -not [Environment]::GetEnvironmentVariable($_) })
if ($missing.Count -gt 0) {
    Stop-Hook "not set: $($missing -join ' '). They are outputs of infra/main.bicep: run azd provision, or set them by hand."
}

# How long the function may take to appear, and the pause between two looks; seconds.
$waitSeconds = if ($env:FUNCTION_WAIT_SECONDS) { [int] $env:FUNCTION_WAIT_SECONDS } else { 600 }
$pause = if ($env:FUNCTION_WAIT_PAUSE) { [int] $env:FUNCTION_WAIT_PAUSE } else { 10 }
$template = Join-Path $PSScriptRoot '..' 'events.bicep'
$subscription = if ($env:AZURE_SUBSCRIPTION_ID) { @('--subscription', $env:AZURE_SUBSCRIPTION_ID) } else { @() }

if (-not (Get-Command az -ErrorAction SilentlyContinue)) {
    Stop-Hook 'az is not on PATH: install the Azure CLI (https://aka.ms/azure-cli) and run azd hooks run postdeploy.'
}
# A sign-in that is missing would otherwise look like a function that is late.
$problem = az account show --output none @subscription 2>&1
if ($LASTEXITCODE -ne 0) {
    Stop-Hook 'az is not signed in: run az login (in a workflow, azure/login), then azd hooks run postdeploy.' $problem
}

Write-Output "Waiting for $env:EVENT_FUNCTION_NAME in $env:AZURE_FUNCTION_APP_NAME, $waitSeconds s at most"
$waited = 0
while ($true) {
    $problem = az functionapp function show --resource-group $env:AZURE_RESOURCE_GROUP `
        --name $env:AZURE_FUNCTION_APP_NAME --function-name $env:EVENT_FUNCTION_NAME --output none @subscription 2>&1
    if ($LASTEXITCODE -eq 0) { break }
    if ($waited -ge $waitSeconds) {
        Stop-Hook "$env:EVENT_FUNCTION_NAME did not appear within $waitSeconds s, so nothing is subscribed. See why the app does not load (az webapp log tail --resource-group $env:AZURE_RESOURCE_GROUP --name $env:AZURE_FUNCTION_APP_NAME), deploy again, then azd hooks run postdeploy. The last answer was:" $problem
    }
    Write-Output "  not there yet after $waited s"
    Start-Sleep -Seconds $pause
    $waited += [Math]::Max($pause, 1)
}

Write-Output "Subscribing it to $env:EVENT_TOPIC_NAME"
$try = 1
# The function is listed a little before the app answers Event Grid's handshake.
while ($true) {
    $state = az deployment group create --resource-group $env:EVENT_TOPIC_RESOURCE_GROUP --name recording-events `
        --template-file $template --query properties.provisioningState --output tsv @subscription --parameters `
        "topicName=$env:EVENT_TOPIC_NAME" `
        "functionAppId=$env:AZURE_FUNCTION_APP_ID" `
        "functionName=$env:EVENT_FUNCTION_NAME" `
        "archiveStorageId=$env:ARCHIVE_STORAGE_ID" `
        "deadLetterContainerName=$env:DEAD_LETTER_CONTAINER" `
        "eventIdentityId=$env:EVENT_IDENTITY_ID" `
        "timeToLiveMinutes=$env:EVENT_TTL_MINUTES" `
        "callFunctionName=$env:EVENT_CALL_FUNCTION_NAME"
    if ($LASTEXITCODE -eq 0) { break }
    if ($try -ge 3) {
        Stop-Hook "the subscription could not be made; the reason is above, more of it in: az deployment operation group list --resource-group $env:EVENT_TOPIC_RESOURCE_GROUP --name recording-events"
    }
    Write-Output "  try $try of 3 failed; again in $pause s"
    Start-Sleep -Seconds $pause
    $try++
}
Write-Output "Subscription recording-files: $state"
