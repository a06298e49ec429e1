metadata description = 'Private networking: the app reaches its storage over a virtual network, and the storage accounts refuse everything else. What this cannot hide is in docs/deploy.md.'

@description('Region of the network.')
param location string

@description('Tags on every resource.')
param tags object

@description('Name of the virtual network.')
param name string

@description('Address range of the network.')
param addressPrefix string

@description('Part of it that the app goes out through: a /27 or larger, one address an instance.')
param appSubnetPrefix string

@description('Part of it that the private endpoints are in: a /28 or larger.')
param endpointSubnetPrefix string

@description('Resource id of a NAT gateway for the app\'s way out, or empty. Azure Communication Services is only reached over the internet.')
param natGatewayId string

@description('Resource id of the account of the host\'s state.')
param hostStorageId string

@description('Resource id of the archive\'s account.')
param archiveStorageId string

// Blob, queue and table of both.
var endpoints = [
  {
    name: 'host-blob'
    account: hostStorageId
    service: 'blob'
  }
  {
    name: 'host-queue'
    account: hostStorageId
    service: 'queue'
  }
  {
    name: 'host-table'
    account: hostStorageId
    service: 'table'
  }
  {
    name: 'archive-blob'
    account: archiveStorageId
    service: 'blob'
  }
  {
    name: 'archive-queue'
    account: archiveStorageId
    service: 'queue'
  }
  {
    name: 'archive-table'
    account: archiveStorageId
    service: 'table'
  }
]
var services = [
  'blob'
  'queue'
  'table'
]

resource appRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-app'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'nothing-in'
        properties: {
          description: 'Callers and Event Grid come to the app\'s own address, never into this subnet'
          direction: 'Inbound'
          access: 'Deny'
          priority: 4000
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource endpointRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-endpoints'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'nothing-in-from-internet'
        properties: {
          direction: 'Inbound'
          access: 'Deny'
          priority: 4000
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: appSubnetPrefix
          networkSecurityGroup: { id: appRules.id }
          natGateway: empty(natGatewayId) ? null : { id: natGatewayId }
          // Flex Consumption takes a subnet of its own, delegated so; the name may hold no underscore.
          delegations: [
            {
              name: 'flex-consumption'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointSubnetPrefix
          networkSecurityGroup: { id: endpointRules.id }
          privateEndpointNetworkPolicies: 'NetworkSecurityGroupEnabled'
        }
      }
    ]
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [for service in services: {
  name: 'privatelink.${service}.${environment().suffixes.storage}'
  location: 'global'
  tags: tags
}]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (service, i) in services: {
  parent: zones[i]
  name: name
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: { id: network.id }
  }
}]

resource privateEndpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [for endpoint in endpoints: {
  name: '${name}-${endpoint.name}'
  location: location
  tags: tags
  properties: {
    subnet: { id: '${network.id}/subnets/endpoints' }
    privateLinkServiceConnections: [
      {
        name: endpoint.name
        properties: {
          privateLinkServiceId: endpoint.account
          groupIds: [endpoint.service]
        }
      }
    ]
  }
}]

resource records 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [for (endpoint, i) in endpoints: {
  parent: privateEndpoints[i]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: endpoint.service
        properties: { privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', 'privatelink.${endpoint.service}.${environment().suffixes.storage}') }
      }
    ]
  }
  dependsOn: [zones]
}]

output appSubnetId string = '${network.id}/subnets/app'
