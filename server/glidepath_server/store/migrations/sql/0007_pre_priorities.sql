-- What operators say of a run's priority. A server that does not know the column releases as the DAG says.
alter table dag_run add column priorities text;
