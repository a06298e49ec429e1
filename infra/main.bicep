metadata description = 'Everything that archives the recordings of one Azure Communication Services resource, in one resource group. The event subscriptions follow in events.bicep, once the code is deployed.'

targetScope = 'subscription'

@description('Name of this environment, such as dev or prod; part of every name.')
@minLength(1)
@maxLength(32)
param environmentName string

@description('Region of everything that has one. It has to offer Flex Consumption: az functionapp list-flexconsumption-locations.')
@minLength(1)
param location string

@description('Resource group to make, or empty for rg- and the environment\'s name.')
param resourceGroupName string = ''

// ---- Azure Communication Services

@description('Resource id of an existing Azure Communication Services resource in this subscription, or empty to make one.')
param communicationServiceId string = ''

@description('Where a new Azure Communication Services resource keeps its data at rest, such as United States, Europe, UK, Japan.')
param communicationDataLocation string = 'United States'

@description('True makes a new Azure Communication Services resource refuse access keys.')
param disableCommunicationKeys bool = false

@description('Role of the app on the Azure Communication Services resource. Contributor is the documented one; CommunicationAndEmailServiceOwner reaches no other kind of resource, but is not documented for call automation.')
@allowed([
  'Contributor'
  'CommunicationAndEmailServiceOwner'
])
param communicationRole string = 'Contributor'

@description('Resource id of the system topic that the existing resource has already, or empty to make one. Azure allows one a resource; see docs/deploy.md for what it needs.')
param systemTopicId string = ''

// ---- The archive

@description('Copies of the archive\'s data.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_RAGRS'
  'Standard_GZRS'
  'Standard_RAGZRS'
])
param archiveRedundancy string = 'Standard_ZRS'

@description('off, legalHold or worm; can only be chosen when the archive\'s container is made. See docs/deploy.md.')
@allowed([
  'off'
  'legalHold'
  'worm'
])
param immutability string = 'off'

@description('Days that nothing in the archive can be changed or deleted, with immutability worm.')
@minValue(1)
@maxValue(146000)
param wormRetentionDays int = 365

@description('Days that what was deleted can be brought back.')
@minValue(1)
@maxValue(365)
param softDeleteDays int = 30

@description('Days after which recordings move to the cool tier; 0 is never.')
@minValue(0)
param coolAfterDays int = 30

@description('Days after which recordings move to the cold tier; 0 is never.')
@minValue(0)
param coldAfterDays int = 90

@description('Days after which recordings move to the archive tier, where nothing can be read for hours; 0 is never.')
@minValue(0)
param archiveAfterDays int = 0

@description('Days after which recordings are deleted; 0 is never.')
@minValue(0)
param deleteAfterDays int = 0

@description('Days that replaced versions of manifests are kept.')
@minValue(1)
param versionDays int = 365

// ---- The app

@description('Hours that the service keeps a recording\'s files.')
@minValue(1)
@maxValue(48)
param retentionHours int = 24

@description('Where credentials may be sent. Only for a sovereign cloud or a service that has moved.')
param trustedOrigins string = 'https://*.asm.skype.com,https://*.asyncgw.teams.microsoft.com,https://*.ams.gov.teams.microsoft.us'

@description('Size of the blocks a file is copied in, MiB.')
@minValue(1)
@maxValue(100)
param copyBlockMib int = 8

@description('Most connections that one copy uses.')
@minValue(1)
@maxValue(64)
param copyConcurrency int = 8

@description('Which calls are recorded by themselves: off, all, or the path of a policy file in the package, such as auto-record.json.')
param autoRecord string = 'off'

@description('True refuses every start without the participants\' consent.')
param requireConsent bool = false

@description('Address at which the service can reach the app to report recordings\' states, or empty for the app\'s own if it is open to the internet.')
param publicBaseUrl string = ''

@description('True deletes a file at the service once it is archived and was read back whole.')
param deleteSourceAfterArchive bool = false

@description('Resource id of an Event Grid topic in this subscription, taking CloudEvents, that the archive\'s own events go to, or empty for none.')
param archiveTopicId string = ''

@description('Memory of an instance, MB.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMb int = 2048

@description('Most instances.')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 40

@description('Instances that always wait for Event Grid\'s events; with any, one more waits for their queue. 0 costs less and delivers the first event after a quiet time twice.')
@minValue(0)
@maxValue(10)
param alwaysReadyInstances int = 1

@description('Address ranges (CIDR) that may call the HTTP API; empty lets every address try its key.')
param allowedAddresses array = []

@description('Object id of an Entra group of operators, or empty.')
param operatorGroupId string = ''

// ---- Events

@description('Minutes that Event Grid goes on trying to deliver an event before it becomes a dead letter.')
@minValue(10)
@maxValue(720)
param eventTimeToLiveMinutes int = 120

// ---- Network

@description('True puts the storage behind a virtual network. See docs/deploy.md for what Event Grid can and cannot reach then.')
param privateNetworking bool = false

@description('Address range of the virtual network.')
param addressPrefix string = '10.71.0.0/24'

@description('The app\'s part of the address range.')
param appSubnetPrefix string = '10.71.0.0/26'

@description('The private endpoints\' part of the address range.')
param endpointSubnetPrefix string = '10.71.0.64/26'

@description('Resource id of a NAT gateway for the app\'s way to the internet, or empty for the platform\'s.')
param natGatewayId string = ''

// ---- Monitoring

@description('Who is mailed when an alert fires.')
param alertEmails array = []

@description('Addresses that every alert is posted to.')
param alertWebhooks array = []

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Most gigabytes of logs taken in a day; -1 is no limit.')
param dailyLogQuotaGb int = 5

@description('Minutes that an announced chunk may take before it is reported.')
@minValue(10)
@maxValue(1440)
param chunkWaitMinutes int = 60

@description('Hours before the deadline from which on open attention items call a person at the highest severity.')
@minValue(1)
@maxValue(47)
param deadlineHours int = 8

@description('Failed deliveries in 15 minutes above which Event Grid\'s trouble is reported.')
@minValue(1)
param deliveryFailureThreshold int = 5

@description('Failed executions of one function in 15 minutes above which they are reported.')
@minValue(1)
param functionFailureThreshold int = 5

// ---- Names that the code relies on

var archiveContainerName = 'recordings'
var deadLetterContainerName = 'dead-letters'
var operationsContainerName = 'operations'
var deploymentContainerName = 'deployments'
var queueName = 'recording-chunks'
var eventQueueName = 'recording-events'
var eventFunctionName = 'recording_file_status_updated'
var intakeFunctionName = 'archive_recording_files'
var callFunctionName = 'call_started_or_ended'

// ---- Built-in roles: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles

var communicationRoles = {
  Contributor: 'b24988ac-6180-42a0-ab88-20f7382dd24c'
  CommunicationAndEmailServiceOwner: '09976791-48a7-449e-bb21-39d1a415f350'
}

var token = toLower(uniqueString(subscription().id, environmentName, location))
var groupName = empty(resourceGroupName) ? 'rg-${environmentName}' : resourceGroupName
var tags = { 'azd-env-name': environmentName }

var newCommunication = empty(communicationServiceId)
var communicationId = newCommunication ? resourceId(subscription().subscriptionId, groupName, 'Microsoft.Communication/communicationServices', 'acs-${token}') : communicationServiceId
var communicationGroup = split(communicationId, '/')[4]
var communicationName = last(split(communicationId, '/'))

var newTopic = empty(systemTopicId)
var topicId = newTopic ? resourceId(subscription().subscriptionId, groupName, 'Microsoft.EventGrid/systemTopics', 'evgt-${token}') : systemTopicId

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: groupName
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    location: location
    tags: tags
    appIdentityName: 'id-app-${token}'
    eventIdentityName: 'id-events-${token}'
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceName: 'log-${token}'
    applicationInsightsName: 'appi-${token}'
    actionGroupName: 'ag-${token}'
    alertEmails: alertEmails
    alertWebhooks: alertWebhooks
    logRetentionDays: logRetentionDays
    dailyLogQuotaGb: dailyLogQuotaGb
  }
}

module hostStorage 'modules/host-storage.bicep' = {
  name: 'host-storage'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'sthost${token}'
    deploymentContainerName: deploymentContainerName
    eventQueueName: eventQueueName
    restrictNetwork: privateNetworking
    workspaceId: monitoring.outputs.workspaceId
  }
}

module archiveStorage 'modules/archive-storage.bicep' = {
  name: 'archive-storage'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'starchive${token}'
    redundancy: archiveRedundancy
    archiveContainerName: archiveContainerName
    deadLetterContainerName: deadLetterContainerName
    operationsContainerName: operationsContainerName
    queueName: queueName
    immutability: immutability
    wormRetentionDays: wormRetentionDays
    softDeleteDays: softDeleteDays
    coolAfterDays: coolAfterDays
    coldAfterDays: coldAfterDays
    archiveAfterDays: archiveAfterDays
    deleteAfterDays: deleteAfterDays
    versionDays: versionDays
    restrictNetwork: privateNetworking
    workspaceId: monitoring.outputs.workspaceId
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  name: 'network'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'vnet-${token}'
    addressPrefix: addressPrefix
    appSubnetPrefix: appSubnetPrefix
    endpointSubnetPrefix: endpointSubnetPrefix
    natGatewayId: natGatewayId
    hostStorageId: hostStorage.outputs.id
    archiveStorageId: archiveStorage.outputs.id
  }
}

module communication 'modules/communication.bicep' = if (newCommunication) {
  name: 'communication'
  scope: group
  params: {
    name: communicationName
    tags: tags
    dataLocation: communicationDataLocation
    disableLocalAuth: disableCommunicationKeys
  }
}

module communicationAccess 'modules/communication-access.bicep' = {
  name: 'communication-access'
  scope: resourceGroup(communicationGroup)
  params: {
    name: communicationName
    appPrincipalId: identity.outputs.appPrincipalId
    roleDefinitionId: communicationRoles[communicationRole]
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [communication]
}

module topic 'modules/topic.bicep' = if (newTopic) {
  name: 'topic'
  scope: group
  params: {
    name: last(split(topicId, '/'))
    tags: tags
    communicationId: communicationId
    identityId: identity.outputs.eventId
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [communication]
}

module archiveTopicAccess 'modules/archive-topic-access.bicep' = if (!empty(archiveTopicId)) {
  name: 'archive-topic-access'
  scope: resourceGroup(empty(archiveTopicId) ? groupName : split(archiveTopicId, '/')[4])
  params: {
    name: last(split(archiveTopicId, '/'))
    appPrincipalId: identity.outputs.appPrincipalId
  }
}

module roles 'modules/roles.bicep' = {
  name: 'roles'
  scope: group
  params: {
    appPrincipalId: identity.outputs.appPrincipalId
    eventPrincipalId: identity.outputs.eventPrincipalId
    operatorGroupId: operatorGroupId
    hostStorageName: 'sthost${token}'
    eventQueueName: eventQueueName
    archiveStorageName: 'starchive${token}'
    archiveContainerName: archiveContainerName
    deadLetterContainerName: deadLetterContainerName
    operationsContainerName: operationsContainerName
    queueName: queueName
    applicationInsightsName: 'appi-${token}'
  }
  dependsOn: [hostStorage, archiveStorage, monitoring]
}

module app 'modules/app.bicep' = {
  name: 'app'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'func-${token}'
    planName: 'plan-${token}'
    identityId: identity.outputs.appId
    identityClientId: identity.outputs.appClientId
    deploymentContainerUrl: hostStorage.outputs.deploymentContainerUrl
    hostStorage: {
      blob: hostStorage.outputs.blobEndpoint
      queue: hostStorage.outputs.queueEndpoint
      table: hostStorage.outputs.tableEndpoint
    }
    archiveStorage: {
      blob: archiveStorage.outputs.blobEndpoint
      queue: archiveStorage.outputs.queueEndpoint
      table: archiveStorage.outputs.tableEndpoint
    }
    archiveContainerName: archiveContainerName
    communicationEndpoint: communicationAccess.outputs.endpoint
    communicationId: communicationId
    retentionHours: retentionHours
    trustedOrigins: trustedOrigins
    copyBlockMib: copyBlockMib
    copyConcurrency: copyConcurrency
    autoRecord: autoRecord
    requireConsent: requireConsent
    publicBaseUrl: publicBaseUrl
    deleteSourceAfterArchive: deleteSourceAfterArchive
    archiveTopicEndpoint: empty(archiveTopicId) ? '' : archiveTopicAccess.outputs.endpoint
    deadLetterContainerName: deadLetterContainerName
    instanceMemoryMb: instanceMemoryMb
    maximumInstances: maximumInstances
    alwaysReadyInstances: alwaysReadyInstances
    eventFunctionName: eventFunctionName
    intakeFunctionName: intakeFunctionName
    allowedAddresses: allowedAddresses
    subnetId: privateNetworking ? network.outputs.appSubnetId : ''
    restrictNetwork: privateNetworking
    applicationInsightsConnectionString: monitoring.outputs.applicationInsightsConnectionString
    workspaceId: monitoring.outputs.workspaceId
  }
  // The host reads its account as soon as it starts.
  dependsOn: [roles]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    prefix: 'recordings-${environmentName}'
    actionGroupId: monitoring.outputs.actionGroupId
    workspaceId: monitoring.outputs.workspaceId
    topicId: topicId
    archiveStorageId: archiveStorage.outputs.id
    queueName: queueName
    eventQueueName: eventQueueName
    chunkWaitMinutes: chunkWaitMinutes
    deadlineHours: deadlineHours
    retentionHours: retentionHours
    deliveryFailureThreshold: deliveryFailureThreshold
    functionFailureThreshold: functionFailureThreshold
  }
  dependsOn: [topic]
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    location: location
    tags: tags
    title: 'Recording archive (${environmentName})'
    workspaceId: monitoring.outputs.workspaceId
    topicId: topicId
    archiveStorageId: archiveStorage.outputs.id
  }
}

// What the postdeploy hook and the operators need; azd keeps it in the environment under these names.
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_APP_NAME string = app.outputs.name
output AZURE_FUNCTION_APP_ID string = app.outputs.id
output RECORDING_API_URL string = 'https://${app.outputs.hostName}/api'
output ACS_ENDPOINT string = communicationAccess.outputs.endpoint
output HOST_STORAGE_ACCOUNT string = hostStorage.outputs.name
output ARCHIVE_STORAGE_ACCOUNT string = archiveStorage.outputs.name
output ARCHIVE_STORAGE_ID string = archiveStorage.outputs.id
output ARCHIVE_CONTAINER string = archiveContainerName
output DEAD_LETTER_CONTAINER string = deadLetterContainerName
output OPERATIONS_CONTAINER string = operationsContainerName
output EVENT_QUEUE string = eventQueueName
output CHUNK_QUEUE string = queueName
output EVENT_TOPIC_NAME string = last(split(topicId, '/'))
output EVENT_TOPIC_RESOURCE_GROUP string = split(topicId, '/')[4]
output EVENT_IDENTITY_ID string = identity.outputs.eventId
output EVENT_FUNCTION_NAME string = eventFunctionName
output EVENT_CALL_FUNCTION_NAME string = callFunctionName
output EVENT_TTL_MINUTES int = eventTimeToLiveMinutes
