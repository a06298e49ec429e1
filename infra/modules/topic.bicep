metadata description = 'The Event Grid system topic of the Azure Communication Services resource. Its subscriptions are in ../events.bicep, because they need the deployed functions.'

@description('Name of the topic.')
param name string

@description('Tags on every resource.')
param tags object

@description('Resource id of the Azure Communication Services resource.')
param communicationId string

@description('Resource id of the identity that writes dead letters.')
param identityId string

@description('Log Analytics workspace for the topic\'s delivery failures.')
param workspaceId string

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: name
  location: 'global'
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    source: communicationId
    topicType: 'Microsoft.Communication.CommunicationServices'
  }
}

resource failures 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: topic
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'DeliveryFailures'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output id string = topic.id
