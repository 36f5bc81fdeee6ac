-- name: enqueue
select dbos.enqueue_workflow(
    workflow_name => %(workflow)s,
    queue_name => %(queue)s,
    positional_args => array[to_json(%(id)s::text)],
    workflow_id => %(id)s,
    app_version => %(version)s,
    application_name => %(application)s
)
