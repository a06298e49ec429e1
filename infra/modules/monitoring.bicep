metadata description = 'Where logs, traces and alerts go.'

@description('Region of the workspace.')
param location string

@description('Tags on every resource.')
param tags object

@description('Name of the Log Analytics workspace.')
param workspaceName string

@description('Name of the Application Insights component.')
param applicationInsightsName string

@description('Name of the action group.')
param actionGroupName string

@description('Who is mailed when an alert fires. With none, alerts are only seen in the portal.')
param alertEmails array

@description('Addresses that every alert is posted to, in the common alert schema: a chat, a pager.')
param alertWebhooks array

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int

@description('Most gigabytes of logs taken in a day, against a runaway bill; -1 is no limit. Above it the alerts that read logs are blind until the next day.')
param dailyLogQuotaGb int

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: logRetentionDays
    workspaceCapping: { dailyQuotaGb: dailyLogQuotaGb }
    features: { disableLocalAuth: true }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    IngestionMode: 'LogAnalytics'
    // Telemetry is taken from Entra identities only: the connection string is an address, no secret.
    DisableLocalAuth: true
    DisableIpMasking: false
  }
}

resource actions 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'recordings'
    emailReceivers: [for (address, i) in alertEmails: {
      name: 'mail-${i}'
      emailAddress: address
      useCommonAlertSchema: true
    }]
    webhookReceivers: [for (address, i) in alertWebhooks: {
      name: 'webhook-${i}'
      serviceUri: address
      useCommonAlertSchema: true
    }]
  }
}

output workspaceId string = workspace.id
output applicationInsightsId string = insights.id
output applicationInsightsConnectionString string = insights.properties.ConnectionString
output actionGroupId string = actions.id
