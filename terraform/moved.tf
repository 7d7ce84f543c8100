# Earlier versions created the account's role for the logs of API Gateway. A deployment that did so gives it up without
# deleting it: other deployments of the account use it. scripts/bootstrap-account creates it.
removed {
  from = module.websocket_api.aws_api_gateway_account.logs

  lifecycle {
    destroy = false
  }
}

removed {
  from = module.websocket_api.aws_iam_role.logs

  lifecycle {
    destroy = false
  }
}

removed {
  from = module.websocket_api.aws_iam_role_policy_attachment.logs

  lifecycle {
    destroy = false
  }
}
