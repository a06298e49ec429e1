metadata description = 'Two user-assigned identities: what the app acts as, and what Event Grid acts as when it dead-letters.'

@description('Region of the identities.')
param location string

@description('Tags on every resource.')
param tags object

@description('Name of the identity that the app acts as.')
param appIdentityName string

@description('Name of the identity that the system topic acts as. It may write dead letters and nothing else.')
param eventIdentityName string

resource app 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: appIdentityName
  location: location
  tags: tags
}

resource events 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: eventIdentityName
  location: location
  tags: tags
}

output appId string = app.id
output appClientId string = app.properties.clientId
output appPrincipalId string = app.properties.principalId
output eventId string = events.id
output eventPrincipalId string = events.properties.principalId
