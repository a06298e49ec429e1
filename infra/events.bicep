metadata description = 'The event subscriptions. Apart from main.bicep, because Event Grid refuses to subscribe a function that is not deployed yet: the postdeploy hook, or a person, deploys this file after the code. Deploying it again changes nothing.'

targetScope = 'resourceGroup'

@description('Name of the system topic, in this resource group.')
param topicName string

@description('Resource id of the function app.')
param functionAppId string

@description('Function that takes RecordingFileStatusUpdated.')
param functionName string = 'recording_file_status_updated'

@description('Resource id of the account with the dead-letter container.')
param archiveStorageId string

@description('Container of the dead letters.')
param deadLetterContainerName string = 'dead-letters'

@description('Resource id of the identity, attached to the topic, that writes dead letters.')
param eventIdentityId string

@description('Minutes that Event Grid goes on trying. What is left of the service\'s 24 hours must be enough to replay a dead letter and to copy the file.')
@minValue(10)
@maxValue(720)
param timeToLiveMinutes int = 120

@description('Most tries of one event.')
@minValue(1)
@maxValue(30)
param maxDeliveryAttempts int = 30

@description('Function that takes CallStarted and CallEnded, or empty for no such subscription.')
param callFunctionName string = 'call_started_or_ended'

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource recordingFiles 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'recording-files'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: ['Microsoft.Communication.RecordingFileStatusUpdated']
    }
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${functionAppId}/functions/${functionName}'
        // One event a delivery: the host fails a whole batch for one event, and all of it would come again.
        maxEventsPerBatch: 1
      }
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: timeToLiveMinutes
      maxDeliveryAttempts: maxDeliveryAttempts
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'UserAssigned'
        userAssignedIdentity: eventIdentityId
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: archiveStorageId
          blobContainerName: deadLetterContainerName
        }
      }
    }
  }
}

resource calls 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = if (!empty(callFunctionName)) {
  parent: topic
  name: 'calls'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: [
        'Microsoft.Communication.CallStarted'
        'Microsoft.Communication.CallEnded'
      ]
    }
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${functionAppId}/functions/${callFunctionName}'
        maxEventsPerBatch: 1
      }
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: timeToLiveMinutes
      maxDeliveryAttempts: maxDeliveryAttempts
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'UserAssigned'
        userAssignedIdentity: eventIdentityId
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: archiveStorageId
          blobContainerName: deadLetterContainerName
        }
      }
    }
  }
}

output recordingFilesId string = recordingFiles.id
output recordingFilesState string = recordingFiles.properties.provisioningState
