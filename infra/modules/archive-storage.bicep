metadata description = 'The account that keeps the recordings, the queue of chunks to copy, the dead letters, and what the app keeps for its own work.'

@description('Region of the account.')
param location string

@description('Tags on every resource.')
param tags object

@description('Name of the account.')
@minLength(3)
@maxLength(24)
param name string

@description('Copies of the data. ZRS survives a data centre, GRS and GZRS a region; the RA forms can be read in the other region.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_RAGRS'
  'Standard_GZRS'
  'Standard_RAGZRS'
])
param redundancy string

@description('Container of the recordings.')
param archiveContainerName string

@description('Container of the events that Event Grid could not deliver. Outside any immutability: replayed ones are moved.')
param deadLetterContainerName string

@description('Container of what the app keeps for its own work: places, starts, incidents, the audit log, events too large for a message. Outside any immutability: all of it is rewritten or deleted.')
param operationsContainerName string

@description('Queue of chunks to copy.')
param queueName string

@description('off: versioning and soft delete only. legalHold: blobs can be held one by one, later. worm: every version is kept unchanged for wormRetentionDays. Only possible when the container is made; see docs/deploy.md.')
@allowed([
  'off'
  'legalHold'
  'worm'
])
param immutability string

@description('Days that every version of every blob in the archive stays as it is, with immutability worm.')
@minValue(1)
@maxValue(146000)
param wormRetentionDays int

@description('Days that deleted blobs, versions and containers can be brought back.')
@minValue(1)
@maxValue(365)
param softDeleteDays int

@description('Days without a change after which blobs move to the cool tier; 0 is never.')
@minValue(0)
param coolAfterDays int

@description('Days without a change after which blobs move to the cold tier; 0 is never.')
@minValue(0)
param coldAfterDays int

@description('Days without a change after which blobs move to the archive tier; 0 is never. There, nothing can be read, manifests neither, until it is rehydrated, which takes hours.')
@minValue(0)
param archiveAfterDays int

@description('Days without a change after which recordings are deleted; 0 is never. With immutability worm it has to be longer than wormRetentionDays.')
@minValue(0)
param deleteAfterDays int

@description('Days that replaced versions are kept, of the manifests above all. At least softDeleteDays.')
@minValue(1)
param versionDays int

@description('True closes the account to everything but the virtual network and Event Grid\'s dead-lettering.')
param restrictNetwork bool

@description('Log Analytics workspace for the account\'s logs.')
param workspaceId string

var versionLevelImmutability = immutability != 'off'

var toCool = coolAfterDays > 0 ? { tierToCool: { daysAfterModificationGreaterThan: coolAfterDays } } : {}
var toCold = coldAfterDays > 0 ? { tierToCold: { daysAfterModificationGreaterThan: coldAfterDays } } : {}
var toArchive = archiveAfterDays > 0 ? { tierToArchive: { daysAfterModificationGreaterThan: archiveAfterDays } } : {}
var toNothing = deleteAfterDays > 0 ? { delete: { daysAfterModificationGreaterThan: deleteAfterDays } } : {}
var ageing = union(toCool, toCold, toArchive, toNothing)

var ageingRules = empty(ageing) ? [] : [
  {
    name: 'recordings-by-age'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: {
        blobTypes: ['blockBlob']
        prefixMatch: ['${archiveContainerName}/']
      }
      actions: { baseBlob: ageing }
    }
  }
]
var versionRules = [
  {
    name: 'replaced-versions'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: {
        blobTypes: ['blockBlob']
        prefixMatch: ['${archiveContainerName}/']
      }
      actions: { version: { delete: { daysAfterCreationGreaterThan: versionDays } } }
    }
  }
]

// The app deletes an event when it is taken in, and a start when its recording is closed. These rules delete the rest.
var operationsRules = [
  {
    name: 'operations-events'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: {
        blobTypes: ['blockBlob']
        prefixMatch: ['${operationsContainerName}/events/']
      }
      actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: 9 } } }
    }
  }
  {
    name: 'operations-starts'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: {
        blobTypes: ['blockBlob']
        prefixMatch: ['${operationsContainerName}/starts/']
      }
      actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: 90 } } }
    }
  }
  {
    // The account keeps versions because of the recordings; each blob here that is rewritten or deleted leaves one too.
    name: 'operations-versions'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: {
        blobTypes: ['blockBlob']
        prefixMatch: ['${operationsContainerName}/']
      }
      actions: { version: { delete: { daysAfterCreationGreaterThan: 9 } } }
    }
  }
]

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  // checkov:skip=CKV_AZURE_35:Denied when privateNetworking is true. Without a virtual network the app comes from public addresses that are not known; identities and roles decide who gets in.
  // checkov:skip=CKV_AZURE_59:As CKV_AZURE_35. Anonymous access and account keys are off in both cases, and Event Grid writes its dead letters through the exception for trusted services, which this setting would close too.
  // checkov:skip=CKV_AZURE_206:Redundancy is a parameter; its default survives the loss of a data centre.
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: redundancy }
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
      // Event Grid is a trusted service: dead letters are written through this exception, with its identity's role.
      bypass: 'AzureServices'
      defaultAction: restrictNetwork ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    isVersioningEnabled: true
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource archive 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: archiveContainerName
  properties: union({ publicAccess: 'None' }, versionLevelImmutability ? { immutableStorageWithVersioning: { enabled: true } } : {})
}

// Unlocked: the period can still be shortened or the policy removed, so that a trial can be undone. Locking is for good
// and therefore a person's command, in docs/deploy.md.
resource worm 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2025-06-01' = if (immutability == 'worm') {
  parent: archive
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: wormRetentionDays
    allowProtectedAppendWrites: false
  }
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: deadLetterContainerName
  properties: { publicAccess: 'None' }
}

resource operations 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: operationsContainerName
  properties: { publicAccess: 'None' }
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: concat(ageingRules, versionRules, operationsRules)
    }
  }
  dependsOn: [blobs]
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource chunks 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = {
  parent: queues
  name: queueName
}

// Where the Functions host puts a message that failed too often. Made here so that a role can be given on it.
resource poison 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = {
  parent: queues
  name: '${queueName}-poison'
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' = {
  parent: account
  name: 'default'
}

// Who read, wrote or deleted a recording.
resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageRead'
        enabled: true
      }
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

// A message that arrives in the poison queue is a write: the poison alert reads this log.
resource queueLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: queues
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageWrite'
        enabled: true
      }
    ]
  }
}

resource tableLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: tables
  properties: {
    workspaceId: workspaceId
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
