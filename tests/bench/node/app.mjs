// A chat as in the public AWS samples: it scans the table of connections for every message. The room is a filter of the
// scan, so connections of other rooms are read but get no post.

import { ApiGatewayManagementApiClient, PostToConnectionCommand } from '@aws-sdk/client-apigatewaymanagementapi';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DeleteCommand, DynamoDBDocumentClient, PutCommand, ScanCommand } from '@aws-sdk/lib-dynamodb';

const TableName = process.env.CONNECTIONS_TABLE ?? 'Connections';
const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));

export async function handler(event) {
  const { connectionId, routeKey } = event.requestContext;
  switch (routeKey) {
    case '$connect': {
      const roomId = event.queryStringParameters?.roomId ?? 'lobby';
      await table.send(new PutCommand({ TableName, Item: { connectionId, roomId } }));
      break;
    }
    case '$disconnect':
      await deleteConnection(connectionId);
      break;
    default: {
      const { roomId, content } = JSON.parse(event.body);
      await broadcast(event.requestContext, roomId, content);
    }
  }
  return { statusCode: 200 };
}

async function broadcast({ domainName, stage }, roomId, content) {
  const connections = new ApiGatewayManagementApiClient({
    endpoint: process.env.AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI ?? `https://${domainName}/${stage}`,
  });
  const Data = JSON.stringify({ roomId, content });
  const members = await membersOf(roomId);
  await Promise.all(
    members.map(async ({ connectionId }) => {
      try {
        await connections.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data }));
      } catch (error) {
        if (error.$metadata?.httpStatusCode !== 410) throw error;
        await deleteConnection(connectionId);
      }
    }),
  );
}

async function membersOf(roomId) {
  const members = [];
  const scan = {
    TableName,
    ProjectionExpression: 'connectionId',
    FilterExpression: 'roomId = :room',
    ExpressionAttributeValues: { ':room': roomId },
  };
  do {
    const page = await table.send(new ScanCommand(scan));
    members.push(...page.Items);
    scan.ExclusiveStartKey = page.LastEvaluatedKey;
  } while (scan.ExclusiveStartKey);
  return members;
}

const deleteConnection = (connectionId) => table.send(new DeleteCommand({ TableName, Key: { connectionId } }));
