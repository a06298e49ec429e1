metadata description = 'Who may do what. Each role is the least that works, on the narrowest scope that exists before the app runs.'

@description('Principal id of the identity that the app acts as.')
param appPrincipalId string

@description('Principal id of the identity that Event Grid writes dead letters with.')
param eventPrincipalId string

@description('Object id of an Entra group of operators, or empty. They may read the archive and put failed work back; they may not change or delete recordings.')
param operatorGroupId string

@description('Account of the host\'s state.')
param hostStorageName string

@description('Queue of events to take in, in the account of the host\'s state.')
param eventQueueName string

@description('Account of the archive.')
param archiveStorageName string

@description('Container of the recordings.')
param archiveContainerName string

@description('Container of the dead letters.')
param deadLetterContainerName string

@description('Container of what the app keeps for its own work.')
param operationsContainerName string

@description('Queue of chunks to copy.')
param queueName string

@description('Application Insights that the app sends its telemetry to.')
param applicationInsightsName string

// Built-in roles: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
var role = {
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  storageBlobDataReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
}

resource host 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hostStorageName
}

resource hostQueues 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' existing = {
  parent: host
  name: 'default'
}

resource events 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' existing = {
  parent: hostQueues
  name: eventQueueName
}

resource eventsPoison 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' existing = {
  parent: hostQueues
  name: '${eventQueueName}-poison'
}

resource archive 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: archiveStorageName
}

resource archiveBlobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' existing = {
  parent: archive
  name: 'default'
}

resource recordings 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: archiveBlobs
  name: archiveContainerName
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: archiveBlobs
  name: deadLetterContainerName
}

resource operations 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: archiveBlobs
  name: operationsContainerName
}

resource archiveQueues 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' existing = {
  parent: archive
  name: 'default'
}

resource chunks 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' existing = {
  parent: archiveQueues
  name: queueName
}

resource poison 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' existing = {
  parent: archiveQueues
  name: '${queueName}-poison'
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

// The host makes its own containers for leases and keys, so the scope is the account. Nothing else is in it.
resource hostBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(host.id, appPrincipalId, role.storageBlobDataOwner)
  scope: host
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageBlobDataOwner)
  }
}

// The host writes its diagnostic events to a table.
resource hostTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(host.id, appPrincipalId, role.storageTableDataContributor)
  scope: host
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageTableDataContributor)
  }
}

// The host's queue trigger asks nothing of the account, only of its queue: whether it exists, its length, its messages; and
// of the poison queue, into which it puts some (QueueListener, QueueMetricsProvider in github.com/Azure/azure-sdk-for-net,
// Microsoft.Azure.WebJobs.Extensions.Storage.Queues). So the scope is the two queues. The documented roles of a trigger,
// Reader and Message Processor, lack Update Message, by which a failed message comes back later
// (github.com/MicrosoftDocs/azure-docs/issues/120932), and the app sends here too: Contributor has all of it.
resource appEvents 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(events.id, appPrincipalId, role.storageQueueDataContributor)
  scope: events
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageQueueDataContributor)
  }
}

resource appEventsPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(eventsPoison.id, appPrincipalId, role.storageQueueDataContributor)
  scope: eventsPoison
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageQueueDataContributor)
  }
}

resource appRecordings 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(recordings.id, appPrincipalId, role.storageBlobDataContributor)
  scope: recordings
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageBlobDataContributor)
  }
}

// Reads dead letters and moves the replayed ones.
resource appDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(deadLetters.id, appPrincipalId, role.storageBlobDataContributor)
  scope: deadLetters
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageBlobDataContributor)
  }
}

resource appOperations 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(operations.id, appPrincipalId, role.storageBlobDataContributor)
  scope: operations
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageBlobDataContributor)
  }
}

resource appChunks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(chunks.id, appPrincipalId, role.storageQueueDataContributor)
  scope: chunks
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageQueueDataContributor)
  }
}

resource appPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(poison.id, appPrincipalId, role.storageQueueDataContributor)
  scope: poison
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageQueueDataContributor)
  }
}

// The app makes its tables itself, so the scope is the account; this role reaches tables only.
resource appTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(archive.id, appPrincipalId, role.storageTableDataContributor)
  scope: archive
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageTableDataContributor)
  }
}

resource appTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, appPrincipalId, role.monitoringMetricsPublisher)
  scope: insights
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.monitoringMetricsPublisher)
  }
}

resource eventDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(deadLetters.id, eventPrincipalId, role.storageBlobDataContributor)
  scope: deadLetters
  properties: {
    principalId: eventPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageBlobDataContributor)
  }
}

resource operatorRecordings 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorGroupId)) {
  name: guid(recordings.id, operatorGroupId, role.storageBlobDataReader)
  scope: recordings
  properties: {
    principalId: operatorGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageBlobDataReader)
  }
}

resource operatorDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorGroupId)) {
  name: guid(deadLetters.id, operatorGroupId, role.storageBlobDataContributor)
  scope: deadLetters
  properties: {
    principalId: operatorGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageBlobDataContributor)
  }
}

resource operatorEvents 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorGroupId)) {
  name: guid(events.id, operatorGroupId, role.storageQueueDataContributor)
  scope: events
  properties: {
    principalId: operatorGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageQueueDataContributor)
  }
}

resource operatorEventsPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorGroupId)) {
  name: guid(eventsPoison.id, operatorGroupId, role.storageQueueDataContributor)
  scope: eventsPoison
  properties: {
    principalId: operatorGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageQueueDataContributor)
  }
}

resource operatorChunks 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorGroupId)) {
  name: guid(chunks.id, operatorGroupId, role.storageQueueDataContributor)
  scope: chunks
  properties: {
    principalId: operatorGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageQueueDataContributor)
  }
}

resource operatorPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorGroupId)) {
  name: guid(poison.id, operatorGroupId, role.storageQueueDataContributor)
  scope: poison
  properties: {
    principalId: operatorGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageQueueDataContributor)
  }
}
