-- What is dead, of one channel, of one run: lists read what they answer.
create index alert_delivery_states on alert_delivery (namespace, state, alert_number);
create index alert_delivery_channel on alert_delivery (namespace, channel_name, state, alert_number);
create index alert_delivery_run on alert_delivery (dag_run_id, alert_number) where dag_run_id is not null;
