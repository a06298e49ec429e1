metadata description = 'What the app needs of the owner\'s Event Grid topic for the archive\'s own events, in whatever resource group it is: a role, and its address.'

@description('Name of the topic. It has to take CloudEvents.')
param name string

@description('Principal id of the identity that the app acts as.')
param appPrincipalId string

// Built-in roles: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
var role = {
  eventGridDataSender: 'd5a91429-5739-47e2-a06b-3470a27159e7'
}

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: name
}

resource sender 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(topic.id, appPrincipalId, role.eventGridDataSender)
  scope: topic
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.eventGridDataSender)
  }
}

output endpoint string = topic.properties.endpoint
