metadata description = 'What the app needs of the Azure Communication Services resource, new or existing, in whatever resource group it is: a role, its address, its logs.'

@description('Name of the resource.')
param name string

@description('Principal id of the identity that the app acts as.')
param appPrincipalId string

@description('Role definition id that lets the app record calls and read recordings.')
param roleDefinitionId string

@description('Log Analytics workspace for the service\'s logs.')
param workspaceId string

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' existing = {
  name: name
}

resource recording 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(communication.id, appPrincipalId, roleDefinitionId)
  scope: communication
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleDefinitionId)
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'recording-archiver'
  scope: communication
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

output endpoint string = 'https://${communication.properties.hostName}'
