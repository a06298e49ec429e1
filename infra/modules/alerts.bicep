metadata description = 'What calls a person. docs/operations.md says of each alert what it means and what to do; its name there is its name here.'

@description('Region of the alerts that read logs.')
param location string

@description('Tags on every resource.')
param tags object

@description('Beginning of the alerts\' names.')
param prefix string

@description('Action group that is notified.')
param actionGroupId string

@description('Workspace that the logs are in.')
param workspaceId string

@description('System topic that the events come from.')
param topicId string

@description('Account of the archive.')
param archiveStorageId string

@description('Queue of chunks to copy.')
param queueName string

@description('Queue of events to take in.')
param eventQueueName string

@description('Minutes that an announced chunk may take until it is archived.')
@minValue(10)
@maxValue(1440)
param chunkWaitMinutes int

@description('Hours before the service deletes a file from which on a person is called if it is not archived.')
@minValue(1)
@maxValue(47)
param deadlineHours int

@description('Hours that the service keeps a recording\'s files.')
param retentionHours int

@description('Failed deliveries in 15 minutes above which Event Grid\'s trouble is reported. Single failures are normal: they are tried again.')
@minValue(1)
param deliveryFailureThreshold int

@description('Failed executions of one function in 15 minutes above which they are reported.')
@minValue(1)
param functionFailureThreshold int

// A log line of the app begins with the event's name and carries its fields; they are also the record's properties when
// OpenTelemetry is on. Reading both keeps the alerts awake in either mode.
var appEvents = '''
let appEvents = AppTraces
| where TimeGenerated > ago({hours}h)
| extend Event = coalesce(tostring(Properties.event), extract(@'^([a-z]+\.[a-z_]+)\b', 1, Message))
| where Event in ('recording.announced', 'chunk.archived', 'chunk.already_archived', 'chunk.postponed', 'chunk.given_up')
| extend
    Document = coalesce(tostring(Properties.documentId), extract(@'\bdocumentId="?([^\s"]+)', 1, Message)),
    Recording = coalesce(tostring(Properties.recordingId), extract(@'\brecordingId="?([^\s"]+)', 1, Message), tostring(Properties.callId), extract(@'\bcallId="?([^\s"]+)', 1, Message)),
    Error = coalesce(tostring(Properties.error), extract(@'\berror="?(\w+)', 1, Message)),
    Waiting = toint(coalesce(tostring(Properties.waiting), extract(@'\bwaiting="?(\d+)', 1, Message)));
let archived = appEvents | where Event in ('chunk.archived', 'chunk.already_archived') | distinct Document;
'''
var events = replace(appEvents, '{hours}', string(retentionHours + 2))

// Announced with so many chunks to copy, and fewer than that were dealt with since.
var waitingQuery = '''
appEvents
| where Event == 'recording.announced' and Waiting > 0
| project Recording, Announced = TimeGenerated, Waiting
| join kind=leftouter (appEvents
    | where Event in ('chunk.archived', 'chunk.already_archived', 'chunk.given_up')
    | project Recording, Done = TimeGenerated, Document) on Recording
| summarize Dealt = dcountif(Document, Done >= Announced) by Recording, Announced, Waiting
| where Dealt < Waiting and Announced < ago({minutes}m)
'''

// The operators' list, read from the log: an incident is open from when it was reported, or its severity grew, until it is
// settled, by the sweep or by a person. HoursLeft is empty if it is not known when the source expires.
var findings = '''
let openFindings = AppTraces
| where TimeGenerated > ago(2d)
| extend Event = coalesce(tostring(Properties.event), extract(@'^([a-z]+\.[a-z_]+)\b', 1, Message))
| where Event in ('attention.raised', 'attention.settled')
| extend
    Finding = coalesce(tostring(Properties.id), extract(@'\sid="?([^\s"]+)', 1, Message)),
    Kind = coalesce(tostring(Properties.kind), extract(@'\bkind="?([a-z-]+)', 1, Message)),
    Severity = coalesce(tostring(Properties.severity), extract(@'\bseverity="?([a-z]+)', 1, Message)),
    Error = coalesce(tostring(Properties.error), extract(@'\berror="?(\w+)', 1, Message)),
    Hours = todouble(coalesce(tostring(Properties.hoursLeft), extract(@'\bhoursLeft="?([0-9.]+)', 1, Message)))
| summarize arg_max(TimeGenerated, Event, Kind, Severity, Error, Hours, Message) by Finding
| where Event == 'attention.raised'
| extend HoursLeft = Hours - datetime_diff('minute', now(), TimeGenerated) / 60.0
| project Finding, Kind, Severity, Error, HoursLeft, Raised = TimeGenerated, Said = Message;
'''

// Open incidents, except what is lost and what may still resolve itself: a chunk that waits and has much time left.
// A lost consent, for which no incident could be stored, is reported for an hour.
var attentionQuery = '''
openFindings
| where Error != 'Expired' and not(Kind == 'waiting' and Severity == 'notice')
| project Finding, Said
| union (AppTraces
    | where TimeGenerated > ago(1h)
    | extend Event = coalesce(tostring(Properties.event), extract(@'^([a-z]+\.[a-z_]+)\b', 1, Message))
    | where Event == 'consent.lost'
    | project Finding = Event, Said = Message)
'''

// What is not archived although the service deletes it soon: incidents, and chunks that are still being tried, whose hours
// count from their recording's first log line. Of a call that is not recorded there is nothing to delete.
var deadlineQuery = '''
let heard = appEvents | summarize Heard = min(TimeGenerated) by Recording;
appEvents
| where Event == 'chunk.postponed'
| summarize Raised = min(TimeGenerated), Said = take_any(Message) by Recording, Finding = Document
| where Finding !in (archived)
| join kind=leftouter heard on Recording
| extend HoursLeft = {retention} - datetime_diff('minute', now(), iff(isempty(Recording), Raised, Heard)) / 60.0
| project Finding, HoursLeft, Said
| union (openFindings | where Error != 'Expired' and Kind != 'call' | project Finding, HoursLeft = coalesce(HoursLeft, {retention} - datetime_diff('minute', now(), Raised) / 60.0), Said)
| where HoursLeft between (0 .. {deadline})
'''

// Chunks that came too late, and whatever else is still open although the service has deleted its files.
var lostQuery = '''
appEvents
| where Event == 'chunk.given_up' and Error == 'Expired'
| where Document !in (archived)
| summarize Lost = max(TimeGenerated), Said = take_any(Message) by Recording, Finding = Document
| union (openFindings | where HoursLeft <= 0 | project Finding, Lost = Raised, Said)
'''

// Written by the storage service when the host moves a message, and by the host itself, once to Application Insights and once
// to the platform's log, which keeps it when telemetry is sampled. The account of the events' queue writes no such log:
// host-storage.bicep says why.
var poisonQuery = '''
union isfuzzy=true
  (StorageQueueLogs | where OperationName == 'PutMessage' and Uri contains '/{queue}-poison/' and StatusText == 'Success' | project TimeGenerated, Message = Uri),
  (AppTraces | where Message has 'MaxDequeueCount' and Message has_any ('{queue}-poison', '{events}-poison') | project TimeGenerated, Message),
  (FunctionAppLogs | where Message has 'MaxDequeueCount' and Message has_any ('{queue}-poison', '{events}-poison') | project TimeGenerated, Message)
'''

var failureQuery = '''
AppRequests
| where Success == false
| where toint(ResultCode) !between (400 .. 499)
| summarize Failures = count() by OperationName
| where Failures > {failures}
'''

var topicAlerts = [
  {
    name: 'events-dead-lettered'
    description: 'Event Grid gave up on an event and kept it in the dead-letter container. Replay it before the recording expires.'
    severity: 1
    metric: 'DeadLetteredCount'
    threshold: 0
    window: 'PT15M'
  }
  {
    name: 'events-dropped'
    description: 'Event Grid gave up on an event and could not store it as a dead letter. Find the recording by its call: docs/operations.md, events-dropped.'
    severity: 0
    metric: 'DroppedEventCount'
    threshold: 0
    window: 'PT15M'
  }
  {
    name: 'event-delivery-failing'
    description: 'Event Grid cannot reach the app, or the app refuses its events. They are tried again until their time to live.'
    severity: 2
    metric: 'DeliveryAttemptFailCount'
    threshold: deliveryFailureThreshold
    window: 'PT15M'
  }
]

var logAlerts = [
  {
    name: 'chunks-waiting'
    description: 'Chunks were announced and are neither archived nor given up: the queue is not being worked off.'
    severity: 2
    query: '${events}${replace(waitingQuery, '{minutes}', string(chunkWaitMinutes))}'
    every: 'PT15M'
    window: 'PT1H'
    look: 'P2D'
  }
  {
    name: 'chunks-poisoned'
    description: 'Handling a chunk or an event crashed so often that the host put its message into a poison queue. The sweep puts it back.'
    severity: 1
    query: replace(replace(poisonQuery, '{queue}', queueName), '{events}', eventQueueName)
    every: 'PT5M'
    window: 'PT15M'
    look: ''
  }
  {
    name: 'attention-open'
    description: 'There are open incidents: the command recordings attention lists them, with the reason and the hours left.'
    severity: 2
    query: '${findings}${attentionQuery}'
    every: 'PT15M'
    window: 'PT1H'
    look: 'P2D'
  }
  {
    name: 'attention-near-deadline'
    description: 'Something is not archived, and the service is about to delete it for good.'
    severity: 0
    query: '${events}${findings}${replace(replace(deadlineQuery, '{deadline}', string(deadlineHours)), '{retention}', string(retentionHours))}'
    every: 'PT15M'
    window: 'PT1H'
    look: 'P2D'
  }
  {
    name: 'recording-lost'
    description: 'Something was not archived before the service deleted it.'
    severity: 0
    query: '${events}${findings}${lostQuery}'
    every: 'PT15M'
    window: 'PT1H'
    look: 'P2D'
  }
  {
    name: 'functions-failing'
    description: 'A function fails again and again. Requests that the caller got wrong are not counted.'
    severity: 2
    query: replace(failureQuery, '{failures}', string(functionFailureThreshold))
    every: 'PT15M'
    window: 'PT15M'
    look: ''
  }
]

resource fromTopic 'Microsoft.Insights/metricAlerts@2018-03-01' = [for alert in topicAlerts: {
  name: '${prefix}-${alert.name}'
  location: 'global'
  tags: tags
  properties: {
    description: alert.description
    severity: alert.severity
    enabled: true
    scopes: [topicId]
    evaluationFrequency: 'PT5M'
    windowSize: alert.window
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: alert.metric
          metricNamespace: 'Microsoft.EventGrid/systemTopics'
          metricName: alert.metric
          operator: 'GreaterThan'
          threshold: alert.threshold
          timeAggregation: 'Total'
        }
      ]
    }
    autoMitigate: true
    actions: [{ actionGroupId: actionGroupId }]
  }
}]

resource storageUnavailable 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${prefix}-archive-unavailable'
  location: 'global'
  tags: tags
  properties: {
    description: 'The archive\'s account refuses or fails requests that are right.'
    severity: 1
    enabled: true
    scopes: [archiveStorageId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'Availability'
          metricNamespace: 'Microsoft.Storage/storageAccounts'
          metricName: 'Availability'
          operator: 'LessThan'
          threshold: 99
          timeAggregation: 'Average'
        }
      ]
    }
    autoMitigate: true
    actions: [{ actionGroupId: actionGroupId }]
  }
}

resource fromLogs 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for alert in logAlerts: {
  name: '${prefix}-${alert.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: '${prefix}-${alert.name}'
    description: alert.description
    severity: alert.severity
    enabled: true
    scopes: [workspaceId]
    evaluationFrequency: alert.every
    windowSize: alert.window
    overrideQueryTimeRange: empty(alert.look) ? null : alert.look
    // The tables come into being with their first row, so the queries cannot be validated on an empty workspace.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: alert.query
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: [actionGroupId] }
  }
}]
