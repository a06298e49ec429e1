using './main.bicep'

// azd sets the first two; the others are set with `azd env set NAME VALUE`. docs/deploy.md says what each is for.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param resourceGroupName = readEnvironmentVariable('RECORDINGS_RESOURCE_GROUP', '')

param communicationServiceId = readEnvironmentVariable('ACS_RESOURCE_ID', '')
param communicationDataLocation = readEnvironmentVariable('ACS_DATA_LOCATION', 'United States')
param disableCommunicationKeys = bool(readEnvironmentVariable('ACS_DISABLE_KEYS', 'false'))
param communicationRole = readEnvironmentVariable('ACS_ROLE', 'Contributor')
param systemTopicId = readEnvironmentVariable('EVENT_TOPIC_ID', '')

param archiveRedundancy = readEnvironmentVariable('ARCHIVE_REDUNDANCY', 'Standard_ZRS')
param immutability = readEnvironmentVariable('ARCHIVE_IMMUTABILITY', 'off')
param wormRetentionDays = int(readEnvironmentVariable('ARCHIVE_WORM_DAYS', '365'))
param softDeleteDays = int(readEnvironmentVariable('ARCHIVE_SOFT_DELETE_DAYS', '30'))
param coolAfterDays = int(readEnvironmentVariable('ARCHIVE_COOL_AFTER_DAYS', '30'))
param coldAfterDays = int(readEnvironmentVariable('ARCHIVE_COLD_AFTER_DAYS', '90'))
param archiveAfterDays = int(readEnvironmentVariable('ARCHIVE_ARCHIVE_AFTER_DAYS', '0'))
param deleteAfterDays = int(readEnvironmentVariable('ARCHIVE_DELETE_AFTER_DAYS', '0'))
param versionDays = int(readEnvironmentVariable('ARCHIVE_VERSION_DAYS', '365'))

param retentionHours = int(readEnvironmentVariable('RECORDING_RETENTION_HOURS', '24'))
param copyBlockMib = int(readEnvironmentVariable('COPY_BLOCK_MIB', '8'))
param copyConcurrency = int(readEnvironmentVariable('COPY_CONCURRENCY', '8'))
param autoRecord = readEnvironmentVariable('AUTO_RECORD', 'off')
param requireConsent = bool(readEnvironmentVariable('REQUIRE_CONSENT', 'false'))
param publicBaseUrl = readEnvironmentVariable('PUBLIC_BASE_URL', '')
param deleteSourceAfterArchive = bool(readEnvironmentVariable('DELETE_SOURCE_AFTER_ARCHIVE', 'false'))
param archiveTopicId = readEnvironmentVariable('ARCHIVE_TOPIC_ID', '')
// int() has type int, which no list of allowed values takes: a table of the sizes does, and names them to who sets another.
var instanceSizes = { '512': 512, '2048': 2048, '4096': 4096 }
param instanceMemoryMb = instanceSizes[readEnvironmentVariable('APP_INSTANCE_MEMORY_MB', '2048')]
param maximumInstances = int(readEnvironmentVariable('APP_MAXIMUM_INSTANCES', '40'))
param alwaysReadyInstances = int(readEnvironmentVariable('APP_ALWAYS_READY', '1'))
param allowedAddresses = empty(readEnvironmentVariable('APP_ALLOWED_ADDRESSES', '')) ? [] : split(readEnvironmentVariable('APP_ALLOWED_ADDRESSES', ''), ',')
param operatorGroupId = readEnvironmentVariable('OPERATOR_GROUP_ID', '')

param eventTimeToLiveMinutes = int(readEnvironmentVariable('EVENT_TTL_MINUTES', '120'))

param privateNetworking = bool(readEnvironmentVariable('PRIVATE_NETWORKING', 'false'))
param addressPrefix = readEnvironmentVariable('NETWORK_ADDRESS_PREFIX', '10.71.0.0/24')
param appSubnetPrefix = readEnvironmentVariable('NETWORK_APP_PREFIX', '10.71.0.0/26')
param endpointSubnetPrefix = readEnvironmentVariable('NETWORK_ENDPOINT_PREFIX', '10.71.0.64/26')
param natGatewayId = readEnvironmentVariable('NAT_GATEWAY_ID', '')

param alertEmails = empty(readEnvironmentVariable('ALERT_EMAILS', '')) ? [] : split(readEnvironmentVariable('ALERT_EMAILS', ''), ',')
param alertWebhooks = empty(readEnvironmentVariable('ALERT_WEBHOOKS', '')) ? [] : split(readEnvironmentVariable('ALERT_WEBHOOKS', ''), ',')
param logRetentionDays = int(readEnvironmentVariable('LOG_RETENTION_DAYS', '30'))
param dailyLogQuotaGb = int(readEnvironmentVariable('LOG_DAILY_QUOTA_GB', '5'))
param chunkWaitMinutes = int(readEnvironmentVariable('ALERT_CHUNK_WAIT_MINUTES', '60'))
param deadlineHours = int(readEnvironmentVariable('ALERT_DEADLINE_HOURS', '8'))
param deliveryFailureThreshold = int(readEnvironmentVariable('ALERT_DELIVERY_FAILURES', '5'))
param functionFailureThreshold = int(readEnvironmentVariable('ALERT_FUNCTION_FAILURES', '5'))
