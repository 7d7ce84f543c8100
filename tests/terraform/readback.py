"""Reads the resources of an apply back from AWS."""

import json
import unittest

import boto3

# check.py sets these before the tests run.
outputs = {}
# Ids of route responses, by route id: the emulator does not list them.
route_responses = {}
settings = {}
contract = {}
runbook = ""
output_folder = None

NAME = "switchboard"
STAGE = "prod"
REGION = "us-east-1"
ACCOUNT = "123456789012"
STATE_BUCKET = "states"


def client(service):
    return boto3.client(service, region_name=REGION)


def apis():
    return {api["ProtocolType"]: api for api in client("apigatewayv2").get_apis()["Items"]}


def by_name(pairs, name, value):
    return {pair[name]: pair[value] for pair in pairs}


class AppliedResources(unittest.TestCase):
    maxDiff = None

    def function(self):
        return client("lambda").get_function_configuration(FunctionName=NAME)

    def invokes_the_function(self, integration):
        self.assertEqual((integration["IntegrationType"], integration["IntegrationMethod"]), ("AWS_PROXY", "POST"))
        self.assertIn(f"{self.alias()}/invocations", integration["IntegrationUri"])

    def alias(self):
        """The ARN of the alias, which everybody invokes except the function itself."""
        return client("lambda").get_alias(FunctionName=NAME, Name="live")["AliasArn"]

    def test_the_alias_has_the_published_version(self):
        alias = client("lambda").get_alias(FunctionName=NAME, Name="live")
        versions = [one["Version"] for one in client("lambda").list_versions_by_function(FunctionName=NAME)["Versions"]]
        self.assertEqual(versions, ["$LATEST", "1"])
        self.assertEqual(alias["FunctionVersion"], "1")
        self.assertEqual(outputs["function"], {"name": NAME, "alias": "live", "version": "1"})

    def test_websocket_routes_have_their_integration_and_route_response(self):
        gateway, api = client("apigatewayv2"), apis()["WEBSOCKET"]
        self.assertEqual(api["RouteSelectionExpression"], "$request.body.action")
        [integration] = gateway.get_integrations(ApiId=api["ApiId"])["Items"]
        self.invokes_the_function(integration)

        routes = {}
        for route in gateway.get_routes(ApiId=api["ApiId"])["Items"]:
            self.assertEqual(route["Target"], f"integrations/{integration['IntegrationId']}", route["RouteKey"])
            responses = [
                gateway.get_route_response(ApiId=api["ApiId"], RouteId=route["RouteId"], RouteResponseId=id)[
                    "RouteResponseKey"
                ]
                for id in route_responses.get(route["RouteId"], [])
            ]
            selected = route.get("RouteResponseSelectionExpression")
            self.assertIn((responses, selected), ((["$default"], "$default"), ([], None)), route["RouteKey"])
            routes[route["RouteKey"]] = {"answers": bool(responses)}
        self.assertEqual(routes, contract["websocket_routes"])

    def test_http_routes_have_their_integration(self):
        gateway, api = client("apigatewayv2"), apis()["HTTP"]
        [integration] = gateway.get_integrations(ApiId=api["ApiId"])["Items"]
        self.invokes_the_function(integration)
        self.assertEqual(integration["PayloadFormatVersion"], "2.0")
        routes = by_name(gateway.get_routes(ApiId=api["ApiId"])["Items"], "RouteKey", "Target")
        self.assertEqual(
            routes, {key: f"integrations/{integration['IntegrationId']}" for key in contract["http_routes"]}
        )
        authorized = by_name(gateway.get_routes(ApiId=api["ApiId"])["Items"], "RouteKey", "AuthorizationType")
        expected = {key: route["authorization"] for key, route in contract["http_routes"].items()}
        self.assertEqual(authorized, expected)
        cors = api["CorsConfiguration"]
        self.assertEqual(cors["AllowOrigins"], settings["chat"]["allowed_origins"])
        self.assertEqual(sorted(cors["AllowHeaders"]), ["authorization", "content-type"])
        self.assertEqual(sorted(cors["AllowMethods"]), ["DELETE", "GET", "OPTIONS", "PATCH", "POST"])

    def test_stages_have_auto_deploy_throttling_and_access_logs(self):
        for protocol, name in (("WEBSOCKET", STAGE), ("HTTP", "$default")):
            [stage] = client("apigatewayv2").get_stages(ApiId=apis()[protocol]["ApiId"])["Items"]
            self.assertEqual(stage["StageName"], name)
            self.assertTrue(stage["AutoDeploy"])
            self.assertEqual(stage["DefaultRouteSettings"]["ThrottlingRateLimit"], 50)
            self.assertEqual(stage["DefaultRouteSettings"]["ThrottlingBurstLimit"], 100)
            group = f"/aws/apigateway/{NAME}-{protocol.lower()}"
            self.assertIn(f":log-group:{group}", stage["AccessLogSettings"]["DestinationArn"])
            for field in ("requestId", "integration.requestId", "identity.sourceIp", "status", "integration.status"):
                self.assertIn(f"$context.{field}", stage["AccessLogSettings"]["Format"])

    def test_the_account_is_prepared_for_deployments(self):
        role = client("apigateway").get_account()["cloudwatchRoleArn"]
        self.assertEqual(role, f"arn:aws:iam::{ACCOUNT}:role/api-gateway-logs")
        [attached] = client("iam").list_attached_role_policies(RoleName="api-gateway-logs")["AttachedPolicies"]
        self.assertEqual(attached["PolicyName"], "AmazonAPIGatewayPushToCloudWatchLogs")
        s3 = client("s3")
        self.assertEqual(s3.get_bucket_versioning(Bucket=STATE_BUCKET)["Status"], "Enabled")
        blocked = s3.get_public_access_block(Bucket=STATE_BUCKET)["PublicAccessBlockConfiguration"]
        self.assertEqual(set(blocked.values()), {True})
        trust = client("iam").get_role(RoleName=f"{NAME}-deploy")["Role"]["AssumeRolePolicyDocument"]
        subject = trust["Statement"][0]["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
        self.assertEqual(subject, "repo:somebody/chat:environment:production")
        [attached] = client("iam").list_attached_role_policies(RoleName=f"{NAME}-deploy")["AttachedPolicies"]
        self.assertEqual(attached["PolicyName"], f"{NAME}-deploy")

    def test_every_output_has_its_form(self):
        gateway = r"[a-z0-9]+\.execute-api\.us-east-1\.amazonaws\.com"
        console = rf"https://{REGION}\.console\.aws\.amazon\.com/cloudwatch/home"
        forms = {
            "region": REGION,
            "websocket_url": rf"wss://{gateway}/{STAGE}",
            "websocket_endpoint": rf"{gateway}/{STAGE}",
            "http_url": rf"https://{gateway}",
            "uploads_bucket": rf"{NAME}-uploads-[0-9]+",
            "log_group": rf"/aws/lambda/{NAME}",
            "failure_queue": rf"{NAME}-failures",
            "dashboard_url": rf"{console}\?region={REGION}#dashboards/dashboard/{NAME}",
        }
        for name, form in forms.items():
            self.assertRegex(outputs[name], f"^{form}$", name)
        self.assertEqual(outputs["dns_targets"], {})
        self.assertIs(outputs["protected"], True)
        issuer = settings["chat"]["jwt_issuer"]
        self.assertEqual(outputs["authentication"], {"mode": "jwt", "issuer": issuer, "audience": None})
        # Other tests read these.
        others = {"authentication", "dns_targets", "event_bus", "function", "protected", "table_names", "webhook_secrets"}
        self.assertEqual(set(outputs), {*forms, *others})

    def test_log_groups_have_a_retention(self):
        groups = by_name(client("logs").describe_log_groups()["logGroups"], "logGroupName", "retentionInDays")
        expected = {
            f"/aws/lambda/{NAME}": 30,
            f"/aws/apigateway/{NAME}-websocket": 7,
            f"/aws/apigateway/{NAME}-http": 7,
        }
        self.assertEqual(groups, expected)
        self.assertIn(outputs["log_group"], groups)

    def test_tables_have_their_keys_indexes_ttl_and_deletion_protection(self):
        dynamodb = client("dynamodb")
        names = {variable: f"{NAME}-{table['name']}" for variable, table in contract["tables"].items()}
        self.assertEqual(outputs["table_names"], names)
        self.assertEqual(sorted(dynamodb.list_tables()["TableNames"]), sorted(names.values()))
        for variable, declared in contract["tables"].items():
            name = names[variable]
            table = dynamodb.describe_table(TableName=name)["Table"]
            self.assertEqual(keys(table), (declared["partition_key"], declared["sort_key"]), name)
            self.assertEqual({attribute["AttributeType"] for attribute in table["AttributeDefinitions"]}, {"S"})
            self.assertEqual(table["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST")
            self.assertTrue(table["DeletionProtectionEnabled"], name)
            self.assertEqual(table["SSEDescription"]["Status"], "ENABLED")
            indexes = {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", [])}
            self.assertEqual(set(indexes), set(declared["indexes"]), name)
            for index, wanted in declared["indexes"].items():
                self.assertEqual(keys(indexes[index]), (wanted["partition_key"], wanted["sort_key"]), index)
                projection = indexes[index]["Projection"]
                self.assertEqual(projection["ProjectionType"], "INCLUDE" if wanted["includes"] else "KEYS_ONLY", index)
                self.assertEqual(sorted(projection.get("NonKeyAttributes", [])), sorted(wanted["includes"]), index)
            ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
            self.assertEqual((ttl["TimeToLiveStatus"], ttl["AttributeName"]), ("ENABLED", declared["ttl"]), name)
            backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
            self.assertEqual(backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"], "ENABLED", name)

    def test_the_bucket_is_private_and_has_a_lifecycle(self):
        s3, bucket = client("s3"), outputs["uploads_bucket"]
        blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        self.assertEqual(set(blocked.values()), {True})
        [ownership] = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        self.assertEqual(ownership["ObjectOwnership"], "BucketOwnerEnforced")
        [encryption] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        self.assertEqual(encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256")
        [statement] = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        self.assertEqual((statement["Effect"], statement["Principal"], statement["Action"]), ("Deny", "*", "s3:*"))
        self.assertEqual(statement["Condition"], {"Bool": {"aws:SecureTransport": "false"}})
        self.assertEqual(statement["Resource"], [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"])
        rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        [exports] = [rule for rule in rules if rule["ID"] == "exports-of-users"]
        self.assertEqual((exports["Filter"]["Prefix"], exports["Expiration"]["Days"]), ("exports/", 7))
        [rule] = [rule for rule in rules if rule["ID"] != "exports-of-users"]
        self.assertEqual(
            (rule["Status"], rule["Expiration"]["Days"]), ("Enabled", settings["chat"]["message_ttl_days"])
        )
        self.assertEqual(rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"], 1)
        [cors] = s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
        self.assertEqual(cors["AllowedOrigins"], settings["chat"]["allowed_origins"])
        self.assertEqual(sorted(cors["AllowedMethods"]), ["GET", "HEAD", "PUT"])
        self.assertEqual(sorted(cors["AllowedHeaders"]), ["content-type", "if-none-match", "x-amz-checksum-sha256"])

    def test_the_bucket_notifies_the_function_of_new_objects(self):
        configuration = client("s3").get_bucket_notification_configuration(Bucket=outputs["uploads_bucket"])
        [notification] = configuration["LambdaFunctionConfigurations"]
        self.assertEqual(notification["LambdaFunctionArn"], self.alias())
        self.assertEqual(notification["Events"], ["s3:ObjectCreated:*"])
        self.assertNotIn("Filter", notification)

    def test_the_schedule_invokes_the_function_every_ten_minutes(self):
        events = client("events")
        [rule] = events.list_rules()["Rules"]
        self.assertEqual((rule["ScheduleExpression"], rule["State"]), ("rate(10 minutes)", "ENABLED"))
        [target] = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        self.assertEqual(target["Arn"], self.alias())

    def test_only_the_configured_sources_may_invoke_the_function(self):
        [rule] = client("events").list_rules()["Rules"]
        gateway = f"arn:aws:execute-api:{REGION}:{ACCOUNT}"
        expected = {
            ("apigateway.amazonaws.com", f"{gateway}:{apis()['WEBSOCKET']['ApiId']}/{STAGE}/*"),
            ("apigateway.amazonaws.com", f"{gateway}:{apis()['HTTP']['ApiId']}/*/*"),
            ("s3.amazonaws.com", f"arn:aws:s3:::{outputs['uploads_bucket']}"),
            ("events.amazonaws.com", rule["Arn"]),
        }
        statements = json.loads(client("lambda").get_policy(FunctionName=NAME, Qualifier="live")["Policy"])["Statement"]
        self.assertEqual({statement["Action"] for statement in statements}, {"lambda:InvokeFunction"})
        found = {(one["Principal"]["Service"], source(one["Condition"])) for one in statements}
        self.assertEqual(found, expected)

    def test_the_function_has_its_runtime_and_environment(self):
        function = self.function()
        self.assertEqual((function["Runtime"], function["Architectures"]), ("provided.al2023", ["x86_64"]))
        self.assertEqual((function["Timeout"], function["TracingConfig"]["Mode"]), (29, "Active"))
        variables = function["Environment"]["Variables"]
        # Two random UUIDs.
        self.assertRegex(variables.pop("TICKET_SECRET"), r"^[0-9a-f-]{72}$")
        self.assertEqual(
            variables,
            outputs["table_names"]
            | {
                "WEBSOCKET_ENDPOINT": outputs["websocket_endpoint"],
                "HTTP_ENDPOINT": outputs["http_url"],
                "UPLOADS_BUCKET": outputs["uploads_bucket"],
                "ALLOWED_ORIGINS": ",".join(settings["chat"]["allowed_origins"]),
                "AUTH_MODE": "jwt",
                "JWT_SECRET": settings["jwt_secret"],
                "JWT_SECRET_PREVIOUS": settings["jwt_secret_previous"],
                "JWT_ISSUER": "https://id.example.com",
                "JWT_ISSUERS": '[{"preset":"firebase:my-project"}]',
                "JWT_MAX_AGE_SECONDS": "86400",
                "LOBBY": "on",
                "MESSAGE_TTL_DAYS": "7",
                "REVIEW_FUNCTION": settings["chat"]["review_function"],
                "ROOM_IDLE_SECONDS": "1800",
                "SESSION_MIN_SECONDS": "900",
                "LOG_LEVEL": "info",
                "METRICS_NAMESPACE": f"Switchboard/{NAME}",
                "EVENT_BUS": NAME,
                "EVENT_BODIES": "on",
                "EVENT_NOTIFICATIONS": "on",
            },
        )
        self.assertRegex(outputs["websocket_endpoint"], r"^[a-z0-9]+\.execute-api\.us-east-1\.amazonaws\.com/prod$")
        self.assertEqual(outputs["websocket_url"], f"wss://{outputs['websocket_endpoint']}")

    def test_failed_events_go_to_the_dead_letter_queue(self):
        queue = client("sqs").get_queue_url(QueueName=f"{NAME}-failures")["QueueUrl"]
        arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        # The emulator does not return the queue with the function; `terraform test` compares it.
        self.assertTrue(arn.endswith(f":{NAME}-failures"))
        self.assertEqual(outputs["failure_queue"], f"{NAME}-failures")
        configuration = client("lambda").get_function_event_invoke_config(FunctionName=NAME, Qualifier="live")
        self.assertEqual(configuration["MaximumRetryAttempts"], 2)
        self.assertEqual(configuration["MaximumEventAgeInSeconds"], 3600)

    def test_streams_of_the_declared_tables_invoke_the_function(self):
        dynamodb, declared = client("dynamodb"), {}
        for variable, table in contract["tables"].items():
            described = dynamodb.describe_table(TableName=outputs["table_names"][variable])["Table"]
            stream = described.get("StreamSpecification", {})
            view = stream.get("StreamViewType") if stream.get("StreamEnabled") else None
            self.assertEqual(view, table["stream"], variable)
            if view:
                declared[described["LatestStreamArn"]] = variable
        mappings = client("lambda").list_event_source_mappings()["EventSourceMappings"]
        self.assertEqual({mapping["EventSourceArn"] for mapping in mappings}, set(declared))
        # The emulator returns the version to which the alias points.
        version = f"{self.function()['FunctionArn']}:1"
        for mapping in mappings:
            self.assertEqual((mapping["BatchSize"], mapping["FunctionArn"]), (100, version))

    def test_the_bus_has_an_archive_and_sends_events_to_webhooks(self):
        events, name = client("events"), outputs["event_bus"]["name"]
        self.assertEqual(events.describe_event_bus(Name=name)["Arn"], outputs["event_bus"]["arn"])
        archive = events.describe_archive(ArchiveName=NAME)
        self.assertEqual((archive["EventSourceArn"], archive["RetentionDays"]), (outputs["event_bus"]["arn"], 30))
        [webhook] = settings["events"]["webhooks"]
        # An archive has a rule of its own.
        [rule] = events.list_rules(EventBusName=name, NamePrefix=f"{NAME}-")["Rules"]
        self.assertEqual(
            json.loads(rule["EventPattern"]), {"source": ["switchboard"], "detail-type": webhook["events"]}
        )
        [target] = events.list_targets_by_rule(Rule=rule["Name"], EventBusName=name)["Targets"]
        [destination] = events.list_api_destinations()["ApiDestinations"]
        self.assertEqual(target["Arn"], destination["ApiDestinationArn"])
        self.assertEqual((target["InputPath"], destination["InvocationEndpoint"]), ("$.detail", webhook["url"]))
        self.assertRegex(outputs["webhook_secrets"][webhook["url"]], r"^[0-9a-f-]{72}$")

    def test_the_dashboard_and_the_alarms_use_existing_metrics(self):
        cloudwatch, namespace = client("cloudwatch"), f"Switchboard/{NAME}"
        body = cloudwatch.get_dashboard(DashboardName=NAME)["DashboardBody"]
        self.assertIn(NAME, outputs["dashboard_url"])
        graphed = [graph for widget in json.loads(body)["widgets"] for graph in widget["properties"]["metrics"]]
        counts = {name for name, metric in contract["metrics"].items() if not metric["dimensions"]}
        self.assertEqual({graph[1] for graph in graphed if graph[0] == namespace}, counts | {"GatewayThrottled"})
        consumed = {graph[3] for graph in graphed if graph[1:2] == ["ConsumedWriteCapacityUnits"]}
        self.assertEqual(consumed, set(outputs["table_names"].values()))
        searched = {graph[0]["expression"] for graph in graphed if isinstance(graph[0], dict)}
        searched = {expression for expression in searched if expression.startswith("SEARCH")}
        expected = {
            f"SEARCH('{{\"{namespace}\",{','.join(metric['dimensions'])}}} MetricName=\"{name}\"', 'p99')"
            for name, metric in contract["metrics"].items()
            if metric["dimensions"]
        }
        self.assertEqual(searched, expected)

    def test_each_alarm_uses_an_existing_metric_and_has_an_entry_in_the_runbook(self):
        namespace = f"Switchboard/{NAME}"
        function, websocket = {"FunctionName": NAME}, {"ApiId": apis()["WEBSOCKET"]["ApiId"], "Stage": STAGE}
        queue, http = {"QueueName": f"{NAME}-failures"}, {"ApiId": apis()["HTTP"]["ApiId"], "Stage": "$default"}
        expected = {
            "function-errors": ("AWS/Lambda", "Errors", function),
            "function-throttles": ("AWS/Lambda", "Throttles", function),
            "function-duration": ("AWS/Lambda", "Duration", function),
            "answers-failed": (namespace, "Failures", {}),
            "rate-limited": (namespace, "RateLimited", {}),
            "rate-limits-failed": (namespace, "LimitsFailed", {}),
            "websocket-integration-errors": ("AWS/ApiGateway", "ExecutionError", websocket),
            "http-integration-errors": ("AWS/ApiGateway", "5xx", http),
            "gateway-throttled": (namespace, "GatewayThrottled", {}),
            "async-events-dropped": ("AWS/Lambda", "AsyncEventsDropped", function),
            "dead-letters": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue),
            "dead-letters-new": ("AWS/SQS", "NumberOfMessagesSent", queue),
            "dead-letters-lost": ("AWS/Lambda", "DeadLetterErrors", function),
            "events-behind": ("AWS/Lambda", "IteratorAge", function),
            "schedule-stopped": (namespace, "Duration", {"route": "schedule"}),
        }
        computed = {
            "posts-failed": {"PostsFailed", "Recipients"},
            "dynamodb-throttles": set(),
            "dynamodb-system-errors": set(),
        } | {f"sends-burn-{speed}-{length}": {"Sends", "SendsMissed"} for speed in ("fast", "slow")
             for length in ("long", "short")}
        alarms = client("cloudwatch").describe_alarms()["MetricAlarms"]
        alarms = {alarm["AlarmName"].removeprefix(f"{NAME}-"): alarm for alarm in alarms}
        self.assertEqual(set(alarms), {*expected, *computed})
        for name, (space, metric, dimensions) in expected.items():
            found = alarms[name]["Namespace"], alarms[name]["MetricName"]
            dimensioned = by_name(alarms[name]["Dimensions"], "Name", "Value")
            self.assertEqual((*found, dimensioned), (space, metric, dimensions))
            self.assertTrue(space != namespace or metric in {*contract["metrics"], "GatewayThrottled"}, metric)
        for name, metrics in computed.items():
            queries = [query for query in alarms[name]["Metrics"] if "MetricStat" in query]
            self.assertEqual({query["MetricStat"]["Metric"]["MetricName"] for query in queries}, metrics)
            self.assertLessEqual(metrics, set(contract["metrics"]))
        tables = outputs["table_names"].values()
        for name in ("dynamodb-throttles", "dynamodb-system-errors"):
            [query] = alarms[name]["Metrics"]
            self.assertTrue(all(f"TableName = '{table}'" in query["Expression"] for table in tables), query)

        headings = [line.removeprefix("### ") for line in runbook.splitlines() if line.startswith("### ")]
        for name, alarm in alarms.items():
            # The parts of the composite alarm tell nobody.
            told = [] if name.startswith("sends-burn") else settings["alarm_topic_arns"]
            self.assertEqual((alarm["AlarmActions"], alarm["OKActions"]), (told, told), name)
            entry = alarm["AlarmDescription"].split("RUNBOOK.md#")[1].rstrip(".")
            self.assertIn(entry, headings)
            self.assertEqual(entry, "sends-too-slow" if name.startswith("sends-burn") else name)

    def test_429s_of_the_gateway_are_counted_from_the_access_logs(self):
        filters = client("logs").describe_metric_filters()["metricFilters"]
        groups = {f"/aws/apigateway/{NAME}-websocket", f"/aws/apigateway/{NAME}-http"}
        self.assertEqual({one["logGroupName"] for one in filters}, groups)
        for one in filters:
            self.assertEqual(one["filterPattern"], '{ $.status = "429" && $.integration_status = "-" }')
            [metric] = one["metricTransformations"]
            self.assertEqual(
                (metric["metricNamespace"], metric["metricName"]), (f"Switchboard/{NAME}", "GatewayThrottled")
            )

    def test_the_policy_is_written_for_the_check_of_privileges(self):
        role = self.function()["Role"].rsplit("/", 1)[1]
        iam = client("iam")
        self.assertEqual(iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"], [])
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        self.assertEqual(sorted(names), ["events", "what-the-router-calls"])
        policies = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
        statements = [statement for policy in policies for statement in policy["Statement"]]
        policy = {"Version": "2012-10-17", "Statement": statements}
        (output_folder / "policy.json").write_text(json.dumps(policy, indent=2))

        table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table"
        resources = {variable: f"{table}/{name}" for variable, name in outputs["table_names"].items()}
        resources |= {
            "bucket": f"arn:aws:s3:::{outputs['uploads_bucket']}",
            "connections": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{apis()['WEBSOCKET']['ApiId']}/{STAGE}",
            "function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{NAME}",
            "review": settings["chat"]["review_function"],
            "log_group": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{outputs['log_group']}",
            "failures": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{NAME}-failures",
            "bus": outputs["event_bus"]["arn"],
        }
        (output_folder / "resources.json").write_text(json.dumps(resources, indent=2))


def keys(described):
    schema = by_name(described["KeySchema"], "KeyType", "AttributeName")
    return schema["HASH"], schema.get("RANGE")


def source(condition):
    return next(value for test in condition.values() for name, value in test.items() if name.lower() == "aws:sourcearn")


def remaining():
    """Resources that are left after a destroy, without those of the account that deployments share."""
    shared = ("api-gateway-logs", f"{NAME}-deploy")
    buckets = by_name(client("s3").list_buckets()["Buckets"], "Name", "Name")
    roles = by_name(client("iam").list_roles()["Roles"], "RoleName", "RoleName")
    if not client("apigateway").get_account().get("cloudwatchRoleArn"):
        return ["the account has lost its role for the logs of API Gateway"]
    found = {
        "tables": client("dynamodb").list_tables()["TableNames"],
        "buckets": [name for name in buckets if name != STATE_BUCKET],
        "functions": [function["FunctionName"] for function in client("lambda").list_functions()["Functions"]],
        "APIs": [api["Name"] for api in client("apigatewayv2").get_apis()["Items"]],
        "roles": [name for name in roles if name not in shared],
        "queues": client("sqs").list_queues().get("QueueUrls", []),
        "buses": [bus["Name"] for bus in client("events").list_event_buses()["EventBuses"] if bus["Name"] != "default"],
        "rules": [rule["Name"] for rule in client("events").list_rules()["Rules"]],
        "log groups": [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]],
        "alarms": [alarm["AlarmName"] for alarm in client("cloudwatch").describe_alarms()["MetricAlarms"]],
        "dashboards": [board["DashboardName"] for board in client("cloudwatch").list_dashboards()["DashboardEntries"]],
    }
    return [f"{kind}: {', '.join(names)}" for kind, names in found.items() if names]
