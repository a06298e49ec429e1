metadata description = 'The archive\'s health on one page of the portal.'

@description('Region of the workbook.')
param location string

@description('Tags on every resource.')
param tags object

@description('Title in the portal.')
param title string

@description('Workspace that the logs are in.')
param workspaceId string

@description('System topic that the events come from.')
param topicId string

@description('Account of the archive.')
param archiveStorageId string

var content = loadTextContent('../workbook.json')
var bound = replace(replace(replace(content, '{{workspaceId}}', workspaceId), '{{topicId}}', topicId), '{{archiveStorageId}}', archiveStorageId)

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'recording-archive')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: title
    category: 'workbook'
    sourceId: workspaceId
    serializedData: bound
  }
}

output id string = workbook.id
