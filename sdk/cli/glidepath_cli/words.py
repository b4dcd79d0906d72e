"""From the words of the protocol, in which a server answers, to the words that are typed here. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

# What answers name, and the command that does it.
COMMANDS = {
    "SetPool": "glidepath pool set NAME SLOTS",
    "ListPools": "glidepath pool list",
    "DeletePool": "glidepath pool delete NAME",
    "SetLimit": "glidepath limit set NAME SLOTS",
    "ListLimits": "glidepath limit list",
    "DeleteLimit": "glidepath limit delete NAME",
    "SetAlertChannel": "glidepath alert channel set NAME --plugin PLUGIN",
    "ListAlertChannels": "glidepath alert channel list",
    "DeleteAlertChannel": "glidepath alert channel delete NAME",
    "TestAlertChannel": "glidepath alert test NAME",
    "SetAlertRoute": "glidepath alert route set NAME --on KIND --channel CHANNEL",
    "ListAlertRoutes": "glidepath alert route list",
    "DeleteAlertRoute": "glidepath alert route delete NAME",
    "ListAlerts": "glidepath alert list",
    "ResendAlerts": "glidepath alert resend ALERT_ID",
    "ListPlugins": "glidepath plugin list",
    "SetNamespaceWeight": "glidepath namespace weight NAME WEIGHT",
    "ListNamespaceWeights": "glidepath namespace weights",
    "CreateNamespace": "glidepath namespace create NAME",
    "ListNamespaces": "glidepath namespace list",
    "CreateToken": "glidepath token create NAME --role ROLE",
    "ListTokens": "glidepath token list",
    "RevokeToken": "glidepath token revoke TOKEN_ID",
    "ListWorkers": "glidepath workers",
    "ListAuditEvents": "glidepath audit",
    "ListIncidents": "glidepath incidents",
    "ReleaseDagRun": "glidepath run release RUN_ID",
    "RegisterDagVersion": "glidepath dag register PATH",
    "GetDag": "glidepath dag show DAG_ID",
    "ListDags": "glidepath dag list",
    "ListDagVersions": "glidepath dag versions DAG_ID",
    "GetDagVersion": "glidepath dag show DAG_ID --version VERSION",
    "DiffDagVersions": "glidepath dag diff DAG_ID",
    "SetDagAlias": "glidepath dag alias DAG_ID ALIAS VERSION",
    "PauseDag": "glidepath dag pause DAG_ID",
    "UnpauseDag": "glidepath dag unpause DAG_ID",
    "ClearDagCache": "glidepath dag cache clear DAG_ID",
    "TriggerDagRuns": "glidepath dag trigger DAG_ID",
    "GetDagRun": "glidepath run show RUN_ID",
    "ListDagRuns": "glidepath run list",
    "ListDeadLetters": "glidepath dead-letters",
    "ListTaskInstances": "glidepath run show RUN_ID",
    "ListAttempts": "glidepath run show RUN_ID",
    "WatchDagRun": "glidepath run watch RUN_ID",
    "StreamLogs": "glidepath run logs RUN_ID",
    "CancelDagRun": "glidepath run cancel RUN_ID",
    "CancelTaskInstances": "glidepath run cancel RUN_ID --task TASK_ID",
    "MarkTaskInstances": "glidepath run mark RUN_ID TASK_ID --as success",
    "ClearTaskInstances": "glidepath run clear RUN_ID TASK_ID",
    "RerunDagRun": "glidepath run rerun RUN_ID",
    "SetDagRunPriority": "glidepath run priority RUN_ID PRIORITY",
    "GetTaskOutput": "glidepath run output RUN_ID TASK_ID",
    "ExplainDagRun": "glidepath run explain RUN_ID",
    "GetRunEta": "glidepath run eta RUN_ID",
    "AddNote": "glidepath run note RUN_ID TEXT",
    "ListNotes": "glidepath run show RUN_ID",
    "PauseDagRun": "glidepath run pause RUN_ID",
    "ResumeDagRun": "glidepath run resume RUN_ID",
    "SetDeadline": "glidepath deadline set DAG_ID --after-start 6h",
    "DeleteDeadline": "glidepath deadline delete DAG_ID NAME",
    "ListDeadlines": "glidepath deadline show DAG_ID",
    "ListRunDeadlines": "glidepath deadline list",
    "ListApprovals": "glidepath approval list",
    "AnswerApproval": "glidepath approval answer RUN_ID TASK_ID --approve",
    "PreviewBackfill": "glidepath backfill create DAG_ID --dry-run",
    "CreateBackfill": "glidepath backfill create DAG_ID",
    "GetBackfill": "glidepath backfill show BACKFILL_ID",
    "ListBackfills": "glidepath backfill list",
    "ListBackfillDates": "glidepath backfill dates BACKFILL_ID",
    "PauseBackfill": "glidepath backfill pause BACKFILL_ID",
    "ResumeBackfill": "glidepath backfill resume BACKFILL_ID",
    "CancelBackfill": "glidepath backfill cancel BACKFILL_ID",
    "RetryBackfill": "glidepath backfill retry BACKFILL_ID",
    "SetSchedule": 'glidepath schedule create DAG_ID NAME --cron "0 2 * * *" --zone ZONE',
    "GetSchedule": "glidepath schedule show DAG_ID NAME",
    "ListSchedules": "glidepath schedule list",
    "PauseSchedule": "glidepath schedule pause DAG_ID NAME",
    "ResumeSchedule": "glidepath schedule resume DAG_ID NAME",
    "DeleteSchedule": "glidepath schedule delete DAG_ID NAME",
    "ListTicks": "glidepath schedule ticks DAG_ID NAME",
    "ListXComs": "glidepath run xcoms RUN_ID",
    "ListArtifactUses": "glidepath run artifacts RUN_ID",
    "GetArtifactLineage": "glidepath artifact lineage URI",
    "ListMetrics": "glidepath dag metrics DAG_ID",
}
# Fields of a task as the options of `@task` that fill them; the others have one name in both.
_OPTIONS = {
    "policy.queue_name": "queue",
    "policy.pool_name": "pool",
    "policy.execution_timeout": "timeout",
    "policy.retry.retries_max": "retries",
    "policy.retry.delay": "retry_delay",
    "policy.retry.delays": "retry_delay",
    "policy.retry.backoff": "retry_backoff",
    "policy.retry.delay_max": "retry_delay_max",
    "policy.retry.losses_max": "losses_max",
    "policy.retry.preemptions_max": "preemptions_max",
    "map.active_max": "map_active_max",
    "map.success_ratio_min": "map_success_ratio_min",
    "map.empty": "map_empty",
    "map.name": "map_name",
    "policy.cache.expire_after": "cache",
    "policy.cache.ignore": "cache_ignore",
    "policy.cache.key": "cache_key",
    "policy.cache.key.template": "cache_key",
    "policy.cache.version": "cache_version",
}


def _option(found: re.Match[str]) -> str:
    """`tasks.train.policy.pool_name` as "task train: pool"."""
    task_id, field = found[1], found[2]
    return f"task {task_id}: {_OPTIONS.get(field, field.removeprefix('policy.'))}"


# The fields of a request as the options and arguments that fill them, the longest first.
_FIELDS: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(r"\btasks\.([^\s:]+?)\.((?:policy|map)(?:\.\w+)+|trigger_rule|role|upstream_task_ids)\b"), _option),
    (re.compile(r"^address: got\b"), "--address: got"),
    (re.compile(r"\bschedules\[(\d+)\]\.(?:spec\.)?(?=\w)"), r"schedules[\1]: "),
    # What is declared goes before the spec of a backfill, as it has a spec, too.
    (re.compile(r"\bdeclaration\.wall\.clock\b"), "--wall"),
    (re.compile(r"\bdeclaration\.wall\.(zone|weekdays)\b"), r"--\1"),
    (re.compile(r"\bdeclaration\.(task|group)_id\b"), r"--\1"),
    (re.compile(r"\bdeclaration\.name\b"), "--name"),
    (re.compile(r"\bdeclaration\.schedule_name: got\b"), "SCHEDULE_NAME: got"),
    (re.compile(r"\bdeclaration\.dag_version_number\b"), "--version"),
    (re.compile(r"\bdeclaration\.params\.(?=\w)"), "--param "),
    (re.compile(r"\bdeclaration\.spec\.dst_overlap\b"), "--overlap-hours"),
    (re.compile(r"\bdeclaration\.spec\.dst_gap\b"), "--gap"),
    (re.compile(r"\bdeclaration\.spec\.interval\.every\b"), "--every"),
    (re.compile(r"\bdeclaration\.spec\.interval\.anchor_time\b"), "--anchor"),
    (re.compile(r"\bdeclaration\.spec\.dates\.tick_time\b"), "--at"),
    (re.compile(r"\bdeclaration\.spec\.(start|end)_time\b"), r"--\1"),
    (re.compile(r"\bdeclaration\.(?:spec\.)?(\w+)(?=[.\[:])"), lambda found: "--" + found[1].replace("_", "-")),
    (
        re.compile(r"\bspec\.schedule_name: got (\d) of them, expected one of schedule_name, cron and period\b"),
        r"--schedule, --daily, --cron, --every: got \1 of them, expected one",
    ),
    (re.compile(r"\bspec\.range_start\b"), "--from"),
    (re.compile(r"\bspec\.range_end\b"), "--to"),
    (re.compile(r"\bspec\.logical_dates\b(?:\[\d+\])?"), "--date"),
    (re.compile(r"\bspec\.period\b"), "--every"),
    (re.compile(r"\bspec\.runs_active_max\b"), "--active"),
    (re.compile(r"\bspec\.rate_(?:runs|period)\b"), "--rate"),
    (re.compile(r"\bspec\.dag_id: "), ""),
    (re.compile(r"\bspec\.(?:alias|dag_version_number|dag_version)\b"), "--version"),
    (re.compile(r"\bspec\.params\.(?=\w)"), "--param "),
    (re.compile(r"\bspec\.params\b"), "--param"),
    (re.compile(r"\bspec\.(schedule|pool|queue)_name\b"), lambda found: "--" + found[1]),
    (re.compile(r"\bspec\.(\w+)"), lambda found: "--" + found[1].replace("_", "-")),
    (re.compile(r"\bpool_name: got\b"), "POOL_NAME: got"),
    (re.compile(r"\blimit_name: got\b"), "LIMIT_NAME: got"),
    (re.compile(r"\brate\.(?:starts|per): got\b"), "--rate: got"),
    (re.compile(r"\bslots: got\b"), "SLOTS: got"),
    (re.compile(r"\bchannel_name: got\b"), "CHANNEL_NAME: got"),
    (re.compile(r"\broute_name: got\b"), "ROUTE_NAME: got"),
    (re.compile(r"\bkinds(?:\[\d+\])?: got\b"), "--on: got"),
    (re.compile(r"\bconfig\.(?=\w+: got)"), "--config "),
    (re.compile(r"\bnew_namespace: got\b"), "NAME: got"),
    (re.compile(r"\bexpire_time: got\b"), "--expires: got"),
    (re.compile(r"\baliases\[\d+\]: got\b"), "--alias: got"),
    (re.compile(r" \(send (the metadata )?authorization: Bearer [^)]*\)"), ""),
    (re.compile(r"\. Give a valid token: .*Client\(token=\.\.\.\)"), ""),
    (re.compile(r"\b(?:cancel_running|only_failed)\b"), lambda found: "--" + found[0].replace("_", "-")),
    (re.compile(r"\bvalues\.(?=\w+: got)"), "--value "),
    (re.compile(r"\bruns\[0\]\.params\.(?=\w)"), "--param "),
    (re.compile(r"\bruns\[0\]\.params\b"), "--param"),
    (re.compile(r"\bdag_version: got\b"), "--version: got"),
    (re.compile(r"\bruns\[0\]\.pause_at_task_ids\b"), "--pause-at"),
    (re.compile(r"\bset only_with_(?=(?:up|down)stream\b)"), "add --with-"),
    (re.compile(r"\bruns\[0\]\.only_task_ids\b"), "--only"),
    (re.compile(r"\bruns\[0\]\.dag_id: "), ""),
    (re.compile(r"\bruns\[0\]\.dag_version_number\b"), "--version"),
    (re.compile(r"\bruns\[0\]\.(\w+)"), lambda found: "--" + found[1].replace("_", "-")),
]
_NAMES = re.compile(rf"\b({'|'.join(sorted(COMMANDS, key=len, reverse=True))})\b")
_MORE = re.compile(r" \(and \d+ more\)")
# What is missing, by the words of the answer, and where to look for it.
_LISTS = [
    (re.compile(r"\bDAG '?(?P<name>[\w.-]+)'? has no version\b"), "glidepath dag versions {name}"),
    (re.compile(r"\bDAG '?(?P<name>[\w.-]+)'? has no alias\b"), "glidepath dag show {name}"),
    (re.compile(r"\btask '?(?P<name>[\w.-]+)'? has no instance\b"), "glidepath run show RUN_ID --task {name}"),
    (re.compile(r"\bhas no task\b"), "glidepath run show RUN_ID"),
    (re.compile(r"\bbackfill\b"), "glidepath backfill list --all"),
    (re.compile(r"\btoken\b"), "glidepath token list"),
    (re.compile(r"\bDAG '?(?P<name>[\w.-]+)'? has no schedule\b"), "glidepath schedule list --dag {name}"),
    (re.compile(r"\bpool\b"), "glidepath pool list"),
    (re.compile(r"\blimit\b"), "glidepath limit list"),
    (re.compile(r"\bchannel\b"), "glidepath alert channel list"),
    (re.compile(r"\bplugin\b"), "glidepath plugin list"),
    (re.compile(r"\bversion\b|\balias\b"), "glidepath dag versions DAG_ID"),
    (re.compile(r"\bDAG\b"), "glidepath dag list"),
    (re.compile(r"\bnamespace\b"), "glidepath namespace list"),
    (re.compile(r"\btask\b|\boutput\b|\battempt\b"), "glidepath run show RUN_ID"),
    (re.compile(r"\brun\b"), "glidepath run list"),
]


# A command that talks to a server, as far as its verb.
_COMMAND = re.compile(
    r"\bglidepath (?:alert (?:channel|route) [a-z]+"
    r"|(?:alert|plugin|dag|run|schedule|backfill|deadline|approval|artifact|pool|limit|namespace|token) [a-z]+"
    r"|workers|worker|audit|incidents|dead-letters|doctor)\b(?! -)"
)


def sent_to(text: str, options: str) -> str:
    """The text whose commands go where this one went; `options` begin with a space, or are empty."""
    return _COMMAND.sub(lambda found: found[0] + options, text) if options else text


def ours(text: str) -> str:
    """The text in the words of this command. Of several things that are wrong, each has its line."""
    first, *rest = text.splitlines() or [""]
    if rest and _MORE.search(first):
        text = "\n".join([f"{len(rest) + 1} things are wrong:", f"  {_MORE.sub('', first)}", *rest])
    for pattern, words in _FIELDS:
        text = pattern.sub(words, text)
    return _NAMES.sub(lambda found: COMMANDS[found[1]], text)


def where_to_look(text: str) -> str:
    """The command that lists what this answer says is not there."""
    for pattern, listed in _LISTS:
        if found := pattern.search(text):
            return f"look at what there is: {listed.format(**found.groupdict())}"
    return ""
