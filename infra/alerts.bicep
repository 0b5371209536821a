// Who is called, and when. Each rule's `section` is a heading of docs/runbook.md.
// The metrics and attributes are those of signals.json. The names of tables and columns are unproven: docs/runbook.md says so.
targetScope = 'resourceGroup'

@description('The region of the rules. It is the region of the logs.')
@minLength(3)
param location string

@description('The tags of every resource.')
param tags object

@description('The part of a name that makes it unique.')
@minLength(13)
@maxLength(13)
param token string

@description('The mail address of the people on call.')
@minLength(6)
@maxLength(254)
param alertEmail string

@description('The resource id of the Log Analytics workspace.')
@minLength(1)
param logsId string

@description('The resource id of the Application Insights component.')
@minLength(1)
param insightsId string

@description('The address that is called from outside.')
@minLength(10)
param healthUrl string

var runbook = 'docs/runbook.md'

// `summarize` without `by` gives one row even when nothing was logged, so silence is a 0 that the rule can see.
var rules = [
  {
    section: 'no-sweep'
    title: 'No successful sweep for 5 minutes'
    severity: 1
    window: 'PT5M'
    measure: 'Sweeps'
    operator: 'LessThan'
    threshold: 1
    query: '''
AppMetrics
| where Name == "polysync.sweep.seconds"
| summarize Sweeps = countif(tostring(Properties.outcome) == "complete" or tostring(Properties.outcome) == "partial")
'''
  }
  {
    section: 'sweep-lag'
    title: 'A workspace or a run was last seen over 120 seconds ago'
    severity: 2
    window: 'PT5M'
    measure: 'Lag'
    operator: 'GreaterThan'
    threshold: 120
    query: '''
AppMetrics
| where Name == "polysync.sweep.lag"
| summarize Lag = max(Max)
'''
  }
  {
    section: 'callback-late'
    title: 'A caller has waited over 15 minutes for its callback'
    severity: 2
    window: 'PT5M'
    measure: 'Oldest'
    operator: 'GreaterThan'
    threshold: 900
    query: '''
AppMetrics
| where Name == "polysync.callbacks.oldest"
| summarize Oldest = max(Max)
'''
  }
  {
    section: 'throttled'
    title: 'A Databricks workspace refuses over a fifth of the calls with 429'
    severity: 2
    window: 'PT15M'
    measure: 'Percent'
    operator: 'GreaterThan'
    threshold: 20
    query: '''
AppMetrics
| where Name == "polysync.databricks.calls"
| extend Workspace = tostring(Properties.workspace)
| summarize Calls = sum(Sum), Refused = sumif(Sum, tostring(Properties.status) == "429") by Workspace
| summarize Percent = max(iff(Calls < 20, 0.0, 100.0 * Refused / Calls))
'''
  }
  {
    section: 'start-unknown'
    title: 'Nobody knows whether an update was started'
    severity: 2
    window: 'PT15M'
    measure: 'Starts'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
AppMetrics
| where Name == "polysync.starts.ambiguous"
| summarize Starts = sum(Sum)
'''
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-polysync-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'polysync'
    enabled: true
    emailReceivers: [
      {
        name: 'on-call'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: 'polysync-${rule.section}-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Polysync: ${rule.title}'
    description: '${rule.title}. What to do: ${runbook}#${rule.section}'
    severity: rule.severity
    enabled: true
    scopes: [
      logsId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: rule.window
    autoMitigate: true
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Maximum'
          metricMeasureColumn: rule.measure
          operator: rule.operator
          threshold: rule.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        people.id
      ]
    }
  }
}]

// The only alarm that also sees a dead app, or telemetry that no longer arrives.
resource outside 'Microsoft.Insights/webtests@2022-06-15' = {
  name: 'polysync-health-${token}'
  location: location
  tags: union(tags, {
    'hidden-link:${insightsId}': 'Resource'
  })
  kind: 'standard'
  properties: {
    SyntheticMonitorId: 'polysync-health-${token}'
    Name: 'polysync-health-${token}'
    Kind: 'standard'
    Enabled: true
    Frequency: 300
    Timeout: 60
    RetryEnabled: true
    Locations: [
      {
        Id: 'emea-nl-ams-azr'
      }
      {
        Id: 'us-va-ash-azr'
      }
      {
        Id: 'apac-sg-sin-azr'
      }
    ]
    Request: {
      RequestUrl: healthUrl
      HttpVerb: 'GET'
      ParseDependentRequests: false
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      SSLCheck: true
      SSLCertRemainingLifetimeCheck: 7
    }
  }
}

resource outsideAlert 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'polysync-unhealthy-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: 'The health address fails from outside. What to do: ${runbook}#unhealthy'
    severity: 1
    enabled: true
    scopes: [
      outside.id
      insightsId
    ]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: outside.id
      componentId: insightsId
      failedLocationCount: 2
    }
    autoMitigate: true
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}
