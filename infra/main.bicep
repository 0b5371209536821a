// Everything that Polysync needs in Azure, in one resource group, without a stored secret.
// Azure Resource Manager has never seen this file: README and docs/azure.md say so.
targetScope = 'resourceGroup'

@description('The azd environment. It tags every resource and makes their names unique.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('The region. It must offer Flex Consumption.')
@minLength(3)
param location string

@description('The host of the one Databricks workspace, without https:// and without a path. Empty when `workspaces` is set.')
@maxLength(100)
param databricksHost string = ''

@description('Several workspaces, as POLYSYNC_WORKSPACES names them. azd sorts them by name. Empty when `databricksHost` is set.')
param workspaces object = {}

@description('The mail address of the people on call.')
@minLength(6)
@maxLength(254)
param alertEmail string

@description('How callers are let in: by function keys, or by signing in with Entra ID.')
@allowed([
  'keys'
  'entra'
])
param callers string = 'keys'

@description('With entra: the id of the tenant.')
@maxLength(36)
param entraTenant string = ''

@description('With entra: the client id of the registration that infra/entra/register makes.')
@maxLength(36)
param entraAudience string = ''

@description('When to check all active runs, as NCRONTAB with six fields. Empty: every 15 seconds.')
@maxLength(100)
param sweepSchedule string = ''

@description('Further settings of the app, such as {"POLYSYNC_RETENTION_DAYS": "30"}. Each has a safe default in the app.')
param moreSettings object = {}

@description('Whether storage is reachable from a private network only.')
param vnetEnabled bool = false

@description('How often storage is copied. A region without availability zones takes Standard_LRS alone.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
])
param storageSku string = 'Standard_ZRS'

@description('The version of Python.')
@allowed([
  '3.11'
  '3.12'
  '3.13'
  '3.14'
])
param pythonVersion string = '3.13'

@description('The memory of an instance in megabytes. Processor time grows with it.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('The most instances at once. Older documentation allows 40 and more, newer 1 and more: 40 is valid under both.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('The threads of an instance, and so the requests that it works on at once.')
@minValue(4)
@maxValue(200)
param threads int = 32

var token = uniqueString(subscription().id, resourceGroup().id, environmentName)
var tags = {
  'azd-env-name': environmentName
}
var packageContainer = 'app-package'
var roles = {
  blobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  tableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  queueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  metricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-polysync-${token}'
  location: location
  tags: tags
}

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: 'st${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: storageSku
  }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: vnetEnabled ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: vnetEnabled ? 'Deny' : 'Allow'
      bypass: 'None'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: storage
  name: 'default'
}

resource package 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobs
  name: packageContainer
  properties: {
    publicAccess: 'None'
  }
}

resource blobRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, identity.id, roles.blobDataOwner)
  scope: storage
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataOwner)
  }
}

resource tableRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, identity.id, roles.tableDataContributor)
  scope: storage
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.tableDataContributor)
  }
}

resource queueRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, identity.id, roles.queueDataContributor)
  scope: storage
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataContributor)
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-polysync-${token}'
  location: location
  tags: tags
  properties: {
    retentionInDays: 30
    sku: {
      name: 'PerGB2018'
    }
    features: {
      disableLocalAuth: true
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-polysync-${token}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
    DisableLocalAuth: true
  }
}

resource metricsRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, identity.id, roles.metricsPublisher)
  scope: insights
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.metricsPublisher)
  }
}

module network 'network.bicep' = if (vnetEnabled) {
  name: 'polysync-network'
  params: {
    location: location
    tags: tags
    token: token
    storageId: storage.id
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'plan-polysync-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: 'func-polysync-${token}'
  location: location
  tags: union(tags, {
    'azd-service-name': 'api'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identity.id
    virtualNetworkSubnetId: vnetEnabled ? network!.outputs.appSubnetId : null
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      ftpsState: 'Disabled'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        triggers: {
          http: {
            perInstanceConcurrency: threads
          }
        }
      }
    }
  }
  dependsOn: [
    package
    blobRole
    tableRole
    queueRole
    metricsRole
  ]
}

// Callers are known by function key or by the app's own check of Entra ID tokens. Easy Auth stays off.
resource auth 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: false
    }
  }
}

resource scmPolicy 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

resource ftpPolicy 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

var ownSettings = {
  DATABRICKS_HOST: databricksHost
  POLYSYNC_WORKSPACES: empty(workspaces) ? '' : string(workspaces)
}

// `moreSettings` wins over these. Otherwise the default of `callers` would undo an `entra` that is written there.
var safeSettings = {
  POLYSYNC_CALLERS: callers
  POLYSYNC_ENTRA_TENANT: entraTenant
  POLYSYNC_ENTRA_AUDIENCE: entraAudience
  POLYSYNC_SWEEP_SCHEDULE: sweepSchedule
}

// Traces are kept whole. The exporter's own default keeps five a second, and parts of the others. The queue holds the spans of a large sweep.
var sampling = {
  OTEL_BSP_MAX_QUEUE_SIZE: '16384'
  OTEL_TRACES_SAMPLER: 'microsoft.fixed_percentage'
  OTEL_TRACES_SAMPLER_ARG: '1.0'
}

resource settings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'appsettings'
  properties: union(sampling, safeSettings, moreSettings, ownSettings, {
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identity.properties.clientId
    AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
    AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
    AZURE_CLIENT_ID: identity.properties.clientId
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
    PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
    PYTHON_APPLICATIONINSIGHTS_LOGGER_NAME: 'polysync'
    OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: 'azure_sdk,django,fastapi,flask,httpx,psycopg2,requests,urllib,urllib3'
    PYTHON_THREADPOOL_THREAD_COUNT: string(threads)
    MALLOC_ARENA_MAX: '2'
  })
}

module alerts 'alerts.bicep' = {
  name: 'polysync-alerts'
  params: {
    location: location
    tags: tags
    token: token
    alertEmail: alertEmail
    logsId: logs.id
    insightsId: insights.id
    healthUrl: 'https://${app.properties.defaultHostName}/api/health'
  }
}

output AZURE_FUNCTION_NAME string = app.name
output SERVICE_API_URI string = 'https://${app.properties.defaultHostName}'
output POLYSYNC_APPLICATION_ID string = identity.properties.clientId
output POLYSYNC_NEXT_COMMAND string = 'infra/databricks/grant --host HOST --application-id ${identity.properties.clientId} --pipeline PIPELINE_ID'
