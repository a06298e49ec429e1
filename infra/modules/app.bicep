metadata description = 'The function app: a Flex Consumption plan, the site, and its settings.'

@description('Region of the app.')
param location string

@description('Tags on every resource.')
param tags object

@description('Name of the app; part of its address, so unique in the world.')
@minLength(2)
@maxLength(60)
param name string

@description('Name of the plan.')
param planName string

@description('Resource id of the identity that the app acts as.')
param identityId string

@description('Client id of the same identity.')
param identityClientId string

@description('Blob container that deployments put the package in.')
param deploymentContainerUrl string

@description('Blob, queue and table addresses of the host\'s own account.')
param hostStorage object

@description('Blob, queue and table addresses of the archive\'s account.')
param archiveStorage object

@description('Container of the recordings.')
param archiveContainerName string

@description('Address of the Azure Communication Services resource.')
param communicationEndpoint string

@description('Resource id of the Azure Communication Services resource, whose events alone the app takes.')
param communicationId string

@description('Hours that the service keeps a recording\'s files.')
@minValue(1)
@maxValue(48)
param retentionHours int

@description('Where credentials may be sent, separated by commas.')
param trustedOrigins string

@description('Size of the blocks a file is copied in, MiB.')
@minValue(1)
@maxValue(100)
param copyBlockMib int

@description('Most connections that one copy uses.')
@minValue(1)
@maxValue(64)
param copyConcurrency int

@description('Container in which Event Grid keeps the events it could not deliver.')
param deadLetterContainerName string

@description('Which calls are recorded by themselves: off, all, or the path of a policy file in the package.')
param autoRecord string

@description('True refuses every start without the participants\' consent.')
param requireConsent bool

@description('Address at which the service can reach the app, or empty for the app\'s own if it is open to the internet.')
param publicBaseUrl string

@description('True deletes a file at the service once it is archived and was read back whole.')
param deleteSourceAfterArchive bool

@description('Address of the Event Grid topic that the archive\'s own events go to, or empty.')
param archiveTopicEndpoint string

@description('Memory of an instance, MB.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMb int

@description('Most instances.')
@minValue(1)
@maxValue(1000)
param maximumInstances int

@description('Instances that always wait for events. With none, the first event after a quiet time finds the app cold and is delivered a second time.')
@minValue(0)
@maxValue(10)
param alwaysReadyInstances int

@description('Function that Event Grid delivers to.')
param eventFunctionName string

@description('Function that takes the events in from their queue. One instance of it waits as well, if any does: on Flex Consumption each function outside a group has instances of its own.')
param intakeFunctionName string

@description('Address ranges (CIDR) that may call the HTTP API; Event Grid always may. Empty lets every address try its function key, unless restrictNetwork is true.')
param allowedAddresses array

@description('Subnet that the app\'s outgoing traffic goes through, or empty.')
param subnetId string

@description('True lets in Event Grid and the allowed addresses only.')
param restrictNetwork bool

@description('Connection string of Application Insights: an address, no secret, since only identities may write.')
param applicationInsightsConnectionString string

@description('Log Analytics workspace for the platform\'s logs.')
param workspaceId string

var restricted = restrictNetwork || !empty(allowedAddresses)
// The service calls back from addresses that are not published, so behind a firewall there is no address to give it.
var ownBaseUrl = restricted ? '' : 'https://${site.properties.defaultHostName}'
var eventGridRule = [
  {
    name: 'event-grid'
    description: 'Event Grid delivers from public addresses, never through a private endpoint'
    priority: 100
    action: 'Allow'
    tag: 'ServiceTag'
    ipAddress: 'AzureEventGrid'
  }
]
var addressRules = [for (addresses, i) in allowedAddresses: {
  name: 'allowed-${i}'
  priority: 200 + i
  action: 'Allow'
  ipAddress: addresses
}]

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  // checkov:skip=CKV_AZURE_225:A zone-redundant Flex plan asks for two always-ready instances a function; the queue already survives the loss of an instance, at no cost.
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2025-03-01' = {
  // checkov:skip=CKV_AZURE_17:Event Grid and the callers have no client certificates; function keys and network rules decide who gets in.
  // checkov:skip=CKV_AZURE_222:Event Grid can only deliver to a public address. restrictNetwork narrows it to Event Grid and named ranges.
  // checkov:skip=CKV_AZURE_212:Flex Consumption counts its instances by the load and by alwaysReady; siteConfig has no say.
  // checkov:skip=CKV_AZURE_213:Flex Consumption has no health check pings; the alerts watch the archive itself.
  name: name
  location: location
  // azd finds the app to deploy to by this tag.
  tags: union(tags, { 'azd-service-name': 'archiver' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    clientAffinityEnabled: false
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      remoteDebuggingEnabled: false
      ipSecurityRestrictionsDefaultAction: restricted ? 'Deny' : 'Allow'
      ipSecurityRestrictions: restricted ? concat(eventGridRule, addressRules) : []
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: deploymentContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMb
        maximumInstanceCount: maximumInstances
        alwaysReady: alwaysReadyInstances > 0 ? [
          {
            name: 'function:${eventFunctionName}'
            instanceCount: alwaysReadyInstances
          }
          {
            name: 'function:${intakeFunctionName}'
            instanceCount: 1
          }
        ] : []
      }
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  // These rules are about the site's configuration and are misled by the settings' resource being of the same type.
  // checkov:skip=CKV_AZURE_13:These are the settings; the HTTP routes ask for function keys, and Entra authentication in front of them is the owner's choice.
  // checkov:skip=CKV_AZURE_63:These are the settings; requests are traced in Application Insights.
  // checkov:skip=CKV_AZURE_65:These are the settings; Flex Consumption has no App Service error pages to keep.
  // checkov:skip=CKV_AZURE_66:These are the settings; failed requests are traced in Application Insights.
  // checkov:skip=CKV_AZURE_80:These are the settings; the app is Python, not .NET.
  // checkov:skip=CKV_AZURE_88:These are the settings; nothing is mounted, state is in Blob Storage.
  // checkov:skip=CKV_AZURE_222:These are the settings; for the site see the reason there.
  parent: site
  name: 'appsettings'
  properties: {
    // The platform's
    AzureWebJobsStorage__blobServiceUri: hostStorage.blob
    AzureWebJobsStorage__queueServiceUri: hostStorage.queue
    AzureWebJobsStorage__tableServiceUri: hostStorage.table
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
    PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
    AZURE_CLIENT_ID: identityClientId
    // The app's, as in docs/deploy.md
    ACS_ENDPOINT: communicationEndpoint
    ACS_RESOURCE_ID: communicationId
    ARCHIVE_STORAGE__blobServiceUri: archiveStorage.blob
    ARCHIVE_STORAGE__queueServiceUri: archiveStorage.queue
    ARCHIVE_STORAGE__tableServiceUri: archiveStorage.table
    ARCHIVE_STORAGE__credential: 'managedidentity'
    ARCHIVE_STORAGE__clientId: identityClientId
    ARCHIVE_CONTAINER: archiveContainerName
    RECORDING_RETENTION_HOURS: string(retentionHours)
    RECORDING_TRUSTED_ORIGINS: trustedOrigins
    COPY_BLOCK_MIB: string(copyBlockMib)
    COPY_CONCURRENCY: string(copyConcurrency)
    AUTO_RECORD: autoRecord
    REQUIRE_CONSENT: string(requireConsent)
    PUBLIC_BASE_URL: empty(publicBaseUrl) ? ownBaseUrl : publicBaseUrl
    DELETE_SOURCE_AFTER_ARCHIVE: string(deleteSourceAfterArchive)
    ARCHIVE_TOPIC_ENDPOINT: archiveTopicEndpoint
    RETRY_SECONDS: '15'
    EXPECTED_EVENT_MINUTES: '60'
    DEAD_LETTER_CONTAINER: deadLetterContainerName
  }
}

// Publishing passwords are off: deployments use Entra identities.
resource ftp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: site
  name: 'ftp'
  properties: { allow: false }
}

resource scm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: site
  name: 'scm'
  properties: { allow: false }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: site
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'FunctionAppLogs'
        enabled: true
      }
    ]
  }
}

output id string = site.id
output name string = site.name
output hostName string = site.properties.defaultHostName
