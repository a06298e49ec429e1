metadata description = 'A new Azure Communication Services resource.'

@description('Name of the resource; part of its address, so unique in the world.')
@minLength(1)
@maxLength(63)
param name string

@description('Tags on every resource.')
param tags object

@description('Where the service keeps its data at rest, recordings among them, before they are archived.')
param dataLocation string

@description('True refuses access keys, so that only Entra identities get in. Other programs that use this resource with a key stop working.')
param disableLocalAuth bool

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    dataLocation: dataLocation
    disableLocalAuth: disableLocalAuth
  }
}

output id string = communication.id
