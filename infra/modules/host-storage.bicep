metadata description = 'The account that the Functions platform keeps its own state and the deployed package in, and the queue of events that are not yet taken in. Apart from the archive: what the host may do here, nothing may do there, and a failure of the archive\'s account keeps no event from being queued here.'

@description('Region of the account.')
param location string

@description('Tags on every resource.')
param tags object

@description('Name of the account.')
@minLength(3)
@maxLength(24)
param name string

@description('Container of the deployed packages. Outside any immutability: each deployment replaces what is there.')
param deploymentContainerName string

@description('Queue of events to take in.')
param eventQueueName string

@description('True closes the account to everything but the virtual network.')
param restrictNetwork bool

@description('Log Analytics workspace for the account\'s logs.')
param workspaceId string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  // checkov:skip=CKV_AZURE_35:Denied when privateNetworking is true. Without a virtual network the app comes from public addresses that are not known; identities and roles decide who gets in.
  // checkov:skip=CKV_AZURE_59:As CKV_AZURE_35. Anonymous access and account keys are off in both cases.
  // checkov:skip=CKV_AZURE_206:One deployment creates host state and packages again; copies elsewhere protect nothing.
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    isLocalUserEnabled: false
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: restrictNetwork ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource deployments 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: deploymentContainerName
  properties: { publicAccess: 'None' }
}

// Without a diagnostic setting: every event is a write here, and while the archive's account fails each waiting event is
// written again at every try, which would use up the day's quota of logs. The poison alert reads the host's log instead.
resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource events 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = {
  parent: queues
  name: eventQueueName
}

// Where the Functions host puts an event whose handling failed too often. Made here so that a role can be given on it.
resource poison 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = {
  parent: queues
  name: '${eventQueueName}-poison'
}

resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    // Deletions only: the host renews its leases every few seconds, which would only fill the log.
    logs: [
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

output id string = account.id
output name string = account.name
output blobEndpoint string = account.properties.primaryEndpoints.blob
output queueEndpoint string = account.properties.primaryEndpoints.queue
output tableEndpoint string = account.properties.primaryEndpoints.table
output deploymentContainerUrl string = '${account.properties.primaryEndpoints.blob}${deployments.name}'
