"""A small CloudWatch: what is needed to evaluate the alarms, metric filters and saved queries of a Terraform plan.

One drill is one period: all data points count as of the same one, however long the period of an alarm is.
"""

import ast
import json
import operator
import re
from collections import defaultdict
from pathlib import Path

COMPARISONS = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
STATISTICS = {"Sum": sum, "Maximum": max, "Minimum": min, "SampleCount": len}
ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


class Metrics:
    """Data points, by namespace, name and dimensions."""

    def __init__(self):
        self.points = defaultdict(list)

    def put(self, namespace, name, value, **dimensions):
        self.points[namespace, name, frozenset(dimensions.items())].append(value)

    def add_embedded(self, line):
        """The metrics of a log line in the embedded metric format."""
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            for names in directive["Dimensions"]:
                for metric in directive["Metrics"]:
                    dimensions = {name: line[name] for name in names}
                    self.put(directive["Namespace"], metric["Name"], line[metric["Name"]], **dimensions)

    def value(self, namespace, name, dimensions, statistic):
        points = self.points.get((namespace, name, frozenset((dimensions or {}).items())))
        return STATISTICS[statistic](points) if points else None

    def names(self):
        return {name for _, name, _ in self.points}


class Plan:
    """The alarms, metric filters and saved queries of a deployment, as planned by Terraform."""

    def __init__(self, path):
        if not Path(path).exists():
            raise RuntimeError(f"{path} does not exist: run scripts/test-terraform")
        modules = json.loads(Path(path).read_text())["root_module"]["child_modules"]
        resources = [resource for module in modules for resource in module["resources"]]
        of_type = lambda kind: [one["values"] for one in resources if one["type"] == kind]
        self.alarms = {alarm["alarm_name"]: alarm for alarm in of_type("aws_cloudwatch_metric_alarm")}
        self.composites = {alarm["alarm_name"]: alarm for alarm in of_type("aws_cloudwatch_composite_alarm")}
        self.filters = of_type("aws_cloudwatch_log_metric_filter")
        self.queries = {query["name"]: query["query_string"] for query in of_type("aws_cloudwatch_query_definition")}

    def in_alarm(self, metrics):
        """The names of the alarms that start, without those that are only parts of another one."""
        found = {name for name, alarm in self.alarms.items() if starts(alarm, metrics)}
        found |= {name for name, alarm in self.composites.items() if rule_holds(alarm["alarm_rule"], found)}
        return {name for name in found if name in self.composites or self.alarms[name]["alarm_actions"]}

    def filter(self, line, metrics):
        """Counts a line of an access log as the metric filters do. Both APIs have the same filter."""
        for one in {json.dumps(one["metric_transformation"]): one for one in self.filters}.values():
            if pattern_matches(one["pattern"], line):
                [metric] = one["metric_transformation"]
                metrics.put(metric["namespace"], metric["name"], float(metric["value"]))


def starts(alarm, metrics):
    value = computed(alarm, metrics) if alarm["metric_query"] else measured(alarm, metrics)
    if value is None:
        return alarm["treat_missing_data"] == "breaching"
    return COMPARISONS[alarm["comparison_operator"]](value, alarm["threshold"])


def measured(alarm, metrics):
    return metrics.value(alarm["namespace"], alarm["metric_name"], alarm["dimensions"], alarm["statistic"])


def computed(alarm, metrics):
    values, [result] = {}, [query for query in alarm["metric_query"] if query["return_data"]]
    for query in alarm["metric_query"]:
        for metric in query["metric"]:
            given = metric["namespace"], metric["metric_name"], metric["dimensions"], metric["stat"]
            values[query["id"]] = metrics.value(*given)
    if result["expression"].startswith("SELECT "):
        return selected(result["expression"], metrics)
    return arithmetic(ast.parse(result["expression"], mode="eval").body, values)


def arithmetic(node, values):
    """The value of an expression: none if one of its metrics has no data, as in CloudWatch."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(id):
            return values[id]
        case ast.BinOp(left, kind, right):
            sides = arithmetic(left, values), arithmetic(right, values)
            return None if None in sides else ARITHMETIC[type(kind)](*sides)
    raise ValueError(f"the evaluator does not know {ast.dump(node)}")


def selected(query, metrics):
    """SELECT SUM(Metric) FROM "Namespace" WHERE Dimension = 'a' OR Dimension = 'b'"""
    parsed = re.fullmatch(r'SELECT SUM\((\w+)\) FROM "([^"]+)" WHERE (.+)', query)
    name, namespace, condition = parsed.groups()
    wanted = {re.fullmatch(r"(\w+) = '([^']+)'", test).groups() for test in condition.split(" OR ")}
    points = [
        value
        for (space, metric, dimensions), values in metrics.points.items()
        if (space, metric) == (namespace, name) and wanted & dimensions
        for value in values
    ]
    return sum(points) if points else None


def rule_holds(rule, in_alarm):
    """ALARM("a") AND ALARM("b") OR ..., with parentheses."""
    text = re.sub(r'ALARM\("([^"]+)"\)', lambda found: str(found[1] in in_alarm), rule)
    words = re.findall(r"True|False|AND|OR|[()]|\S+", text)
    if unknown := set(words) - {"True", "False", "AND", "OR", "(", ")"}:
        raise ValueError(f"the evaluator does not know {unknown} in {rule}")
    python = " ".join(words).replace("AND", "and").replace("OR", "or")
    return eval(python, {"__builtins__": {}})


def pattern_matches(pattern, line):
    """{ $.a = "b" && $.c = "d" }"""
    tests = pattern.strip("{} ").split(" && ")
    parsed = [re.fullmatch(r'\$\.(\w+) = "([^"]*)"', test).groups() for test in tests]
    return all(line.get(name) == value for name, value in parsed)


def lines_of(query, lines):
    """The lines that the filters of a Logs Insights query select."""
    for step in query.split(" | "):
        if step.startswith("filter "):
            lines = [line for line in lines if condition_holds(step.removeprefix("filter "), line)]
    return lines


def condition_holds(condition, line):
    return any(all(test_holds(test, line) for test in part.split(" and ")) for part in condition.split(" or "))


def test_holds(test, line):
    if like := re.fullmatch(r"@message like /(.+)/", test):
        return re.search(like[1], json.dumps(line)) is not None
    name, comparison, wanted = re.fullmatch(r"(\w+) (=|>|>=|<) (.+)", test).groups()
    value, wanted = line.get(name), json.loads(wanted)
    compare = {"=": operator.eq, ">": operator.gt, ">=": operator.ge, "<": operator.lt}[comparison]
    return value is not None and compare(value, wanted)
