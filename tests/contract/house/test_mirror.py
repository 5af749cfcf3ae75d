"""Where each module is tested: in the unit test of the same path, or in what this table names.

A module is in the table where only real processes, sockets or a database say whether it works.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
UNIT = ROOT / "tests/unit"
# Each room, and the folder of its unit tests.
ROOMS = {
    "supervisor/front": "front",
    "supervisor/warden": "warden",
    "supervisor/store": "store",
    "supervisor/logs": "logs",
    "worker": "worker",
}
# Libraries under another's name, tried as their users do; and steps that each run once.
NOT_OURS = ("worker/standins/", "supervisor/store/migrations/")

HELD_BY: dict[str, dict[str, str]] = {
    "supervisor/front": {
        "api/routes/audit_routes.py": "contract/spaces/test_audit.py",
        "api/routes/space_routes.py": "contract/spaces/test_deleted.py",
        "api/space_deletion.py": "contract/spaces/test_cut_off.py",
        "functions/suspended_functions.py": "contract/spaces/test_suspended.py",
        "api_control.py": "contract/api/test_functions.py",
        "app.py": "contract/call/test_deploy_and_call.py",
        "health.py": "contract/api/test_functions.py",
        "readiness.py": "contract/test_metrics.py",
        "lazy_api.py": "unit/front/test_server.py",
        "warden_control.py": "contract/api/test_at_once.py",
        "warden_link.py": "fault/test_kills_at_named_points.py",
        "api/bundle_deletion.py": "fault/test_full_disk.py",
        "api/context.py": "contract/api/test_functions.py",
        "api/deploys.py": "contract/api/test_functions.py",
        "api/error_answers.py": "contract/api/test_refusals.py",
        "api/gate.py": "contract/api/test_refusals.py",
        "api/json_value.py": "contract/api/test_values.py",
        "api/option_words.py": "contract/api/test_functions.py",
        "api/openapi.py": "contract/api/test_description.py",
        "api/schemas.py": "contract/api/test_description.py",
        "api/streaming.py": "contract/logs/test_follow.py",
        "api/routes/function_routes.py": "contract/api/test_functions.py",
        "api/routes/log_routes.py": "contract/api/test_logs.py",
        "api/routes/operator_routes.py": "contract/test_activity.py",
        "api/routes/value_routes.py": "contract/api/test_values.py",
        "api/routes/version_routes.py": "contract/api/test_functions.py",
        "following/answer_tail.py": "contract/logs/test_tail_of_a_call.py",
        "following/follower_thread.py": "contract/logs/test_follow.py",
        "following/log_formats.py": "contract/api/test_logs.py",
        "following/log_pages.py": "contract/api/test_logs.py",
        "functions/deployed_limits.py": "unit/test_function_options.py",
        "functions/directory.py": "contract/call/test_deploy_and_call.py",
        "functions/function_entry.py": "contract/call/test_deploy_and_call.py",
        "functions/space_values.py": "contract/api/test_values.py",
        "http/answer_head.py": "contract/http/test_table.py",
        "http/api_request.py": "contract/http/test_table.py",
        "http/connection.py": "contract/http/test_table.py",
        "http/connection_counts.py": "contract/http/test_crowds.py",
        "http/edge.py": "contract/http/test_crowds.py",
        "http/process_confinement.py": "escape/test_hardening.py",
        "http/message.py": "unit/front/http/test_request_head.py",
        "http/worker.py": "unit/front/http/test_borrowed.py",
        "invoke/call_ids.py": "unit/front/invoke/test_request.py",
        "invoke/http_call.py": "contract/http/test_refused_bodies.py",
        "logs/log_pipes.py": "contract/call/test_logs_capture.py",
        "logs/recorder.py": "contract/call/test_log_records.py",
        "outcome/platform_lines.py": "contract/call/test_reports.py",
        "outcome/browser_headers.py": "contract/call/test_browsers.py",
        "outcome/refusals.py": "contract/call/test_capacity.py",
        "pool/failed_starts.py": "contract/call/test_life.py",
        "pool/import_waits.py": "contract/call/test_import_time.py",
        "pool/lease_request.py": "contract/limits/test_processes.py",
        "pool/limits_met.py": "contract/call/test_memory_limit.py",
        "pool/cell/instance_identity.py": "unit/front/pool/test_instance.py",
        "pool/cell/init_frame.py": "contract/call/test_deploy_and_call.py",
        "pool/cell/pending_call.py": "unit/front/pool/test_instance.py",
        "pool/cell/outbox.py": "unit/front/pool/test_instance.py",
        "telemetry/request_files.py": "unit/front/telemetry/test_request_log.py",
        "telemetry/metrics/front_numbers.py": "contract/test_metrics.py",
        "telemetry/metrics/metric_table.py": "contract/test_metrics.py",
        "telemetry/metrics/scrape.py": "contract/test_metrics.py",
        "telemetry/forwarding.py": "contract/logs/test_forwarding.py",
        "telemetry/otlp_exporter.py": "contract/logs/test_forwarding.py",
        "telemetry/spans.py": "unit/front/telemetry/test_otlp_encoding.py",
        "telemetry/survey.py": "unit/front/telemetry/test_call_counters.py",
    },
    "supervisor/warden": {
        "all_steps.py": "fault/test_drain.py",
        "change_rounds.py": "unit/warden/leases/test_desk.py",
        "startup/data_dir.py": "fault/test_restart.py",
        "startup/descriptor_limit.py": "contract/limits/test_descriptors.py",
        "fronts.py": "fault/test_processes_that_die.py",
        "processes.py": "fault/test_processes_that_die.py",
        "admin_token.py": "fault/test_admin_token.py",
        "reload.py": "fault/test_reload.py",
        "token_rotation.py": "fault/test_admin_token.py",
        "survey_rounds.py": "contract/test_activity.py",
        "warden.py": "fault/test_restart.py",
        "cells/bare_cell_folders.py": "fault/test_restart.py",
        "cells/code_mount.py": "escape/test_attacks.py",
        "cells/confinement.py": "escape/test_self_proof.py",
        "cells/held_cell.py": "unit/warden/leases/test_accounts.py",
        "jail/_host_syscalls.py": "escape/test_hardening.py",
        "jail/cgroup_hierarchies.py": "unit/warden/jail/test_cgroups.py",
        "jail/device_nodes.py": "contract/surroundings/test_devices.py",
        "jail/freezer.py": "escape/test_freezing.py",
        "jail/metadata_routes.py": "escape/test_metadata.py",
        "jail/private_root.py": "escape/test_attacks.py",
        "launch/front_standby.py": "fault/test_restart.py",
        "launch/launcher.py": "escape/test_hardening.py",
        "launch/standby_messages.py": "fault/test_restart.py",
        "launch/zygote_launch.py": "contract/surroundings/test_bootstrap.py",
        "launch/zygote_standby.py": "unit/warden/launch/test_zygote_prestart.py",
        "leases/front_sessions.py": "unit/warden/leases/test_desk.py",
        "leases/pipe_ends.py": "unit/warden/leases/test_desk.py",
        "leases/lease_ceilings.py": "unit/warden/leases/test_desk.py",
        "leases/space_shares.py": "contract/call/test_fair_shares.py",
        "memory/open_files.py": "unit/warden/startup/test_resource_budget.py",
        "memory/process_memory.py": "unit/warden/memory/test_cell_memory_policy.py",
        "metrics/metric_rounds.py": "contract/test_metrics.py",
        "supply/registry.py": "unit/warden/leases/test_accounts.py",
        "supply/roll.py": "contract/call/test_runtimes.py",
        "supply/zygote_choice.py": "contract/call/test_runtimes.py",
        "supply/zygote_handle.py": "fault/test_processes_that_die.py",
    },
    "supervisor/store": {
        "tenants/audit_queries.py": "unit/store/tenants/test_audit_store.py",
        "tenants/space_queries.py": "unit/store/tenants/test_space_store.py",
        "deadline_retries.py": "unit/store/test_store.py",
        "drivers.py": "unit/store/test_database.py",
        "backup/backing_up.py": "contract/backup/test_backup.py",
        "backup/backup_file.py": "contract/backup/test_backup.py",
        "backup/restoring.py": "contract/backup/test_backup.py",
        "backup/sealed_key.py": "contract/backup/test_backup.py",
        "code/bundle_queries.py": "unit/store/code/test_bundle_uploads.py",
        "code/takeover.py": "contract/backup/test_upgrade.py",
        "migrate.py": "unit/store/test_database.py",
        "plain_reads.py": "unit/store/test_lookups.py",
        "records.py": "unit/store/test_function_queries.py",
        "schema.py": "unit/store/test_database.py",
    },
    "supervisor/logs": {
        "catalogue.py": "contract/api/test_logs.py",
        "layout.py": "unit/logs/test_log_sweep.py",
        "segment_reader.py": "unit/logs/reading/test_reader.py",
        "reading/batch.py": "unit/logs/reading/test_reader.py",
        "reading/cursor.py": "unit/logs/reading/test_reader.py",
        "reading/merged_records.py": "unit/logs/reading/test_reader.py",
        "reading/query.py": "unit/logs/reading/test_reader.py",
        "writing/backlog.py": "unit/logs/writing/test_writer.py",
        "writing/segment_writer.py": "unit/logs/writing/test_writer.py",
    },
    "worker": {
        "cell_process.py": "escape/test_self_proof.py",
        "logwire.py": "unit/front/logs/test_pipe_parser.py",
        "interpreter_hooks.py": "contract/call/test_logging.py",
        "message_table.py": "unit/test_messages.py",
        "setup_socket.py": "escape/test_self_proof.py",
        "zygote_messages.py": "unit/test_messages.py",
        "setup_messages.py": "escape/test_layers.py",
        "wire.py": "contract/wire/test_vectors.py",
        "answer/handler_source.py": "unit/worker/imports/test_signature.py",
        "answer/json_body.py": "unit/worker/answer/test_response.py",
        "answer/likely_mistakes.py": "unit/worker/answer/test_response.py",
        "answer/mistake.py": "unit/worker/answer/test_response.py",
        "answer/tracebacks.py": "contract/call/test_failing_programs.py",
        "capture/log_records.py": "contract/call/test_logging.py",
        "fresh/fork_server.py": "contract/call/test_fresh.py",
        "fresh/kept_descriptors.py": "unit/worker/fresh/test_keeper.py",
        "imports/environment.py": "contract/surroundings/test_environment.py",
        "imports/import_hooks.py": "contract/call/test_imports.py",
        "imports/interpreter.py": "contract/surroundings/test_program.py",
        "imports/matplotlib_fonts.py": "contract/surroundings/test_fonts.py",
        "imports/namesakes.py": "contract/surroundings/test_bootstrap.py",
        "imports/network_refusals.py": "contract/surroundings/test_no_network.py",
        "sandbox/bare_lockdown.py": "escape/test_tiers.py",
        "sandbox/host_files.py": "contract/surroundings/test_hosts_network.py",
        "sandbox/lockdown.py": "contract/test_architecture.py",
        "sandbox/lockdown_state.py": "escape/test_self_proof.py",
        "sandbox/places.py": "contract/surroundings/test_bootstrap.py",
        "sandbox/rlimits.py": "contract/limits/test_descriptors.py",
        "serve/async_calls.py": "contract/call/test_time.py",
        "serve/channel.py": "contract/wire/test_fuzz.py",
        "serve/current_call.py": "contract/call/test_threads.py",
        "serve/exit_hooks.py": "contract/call/test_last_words.py",
        "serve/interrupts.py": "unit/worker/answer/test_failure.py",
        "serve/loop.py": "contract/call/test_cell.py",
        "serve/call_usage.py": "contract/call/test_reports.py",
        "serve/served_function.py": "contract/call/test_answers.py",
        "serve/sync_calls.py": "contract/call/test_cell.py",
        "serve/thread_owners.py": "contract/call/test_threads.py",
    },
}
# Unit tests of more than one module, or of the part of one that is told apart.
BESIDE = {
    "front/http/test_borrowed.py": "names of gunicorn and httptools that the whole room leans on",
    "warden/leases/test_desk_controls.py": "the controls of test_desk",
    "worker/serve/test_leftover_threads.py": "threads that are left over, which are a table of their own",
}


def modules(room: str) -> list[str]:
    """The modules of a room, by their paths in it."""
    paths = [path for path in (ROOT / room).rglob("*.py") if path.name != "__init__.py"]
    names = [str(path.relative_to(ROOT)) for path in paths]
    return sorted(name.removeprefix(f"{room}/") for name in names if not name.startswith(NOT_OURS))


def unit_test_of(room: str, module: str) -> Path:
    """Where its unit test is, if it has one."""
    path = Path(module)
    return UNIT / ROOMS[room] / path.with_name(f"test_{path.name.removeprefix('_')}")


def test_each_module_has_the_unit_test_of_its_path_or_a_line_in_the_table() -> None:
    nowhere = [
        f"{room}/{module}"
        for room in ROOMS
        for module in modules(room)
        if not unit_test_of(room, module).is_file() and module not in HELD_BY[room]
    ]
    assert nowhere == []


def test_each_line_of_the_table_is_of_a_module_that_has_no_unit_test_and_of_a_test_that_exists() -> None:
    for room, held in HELD_BY.items():
        assert set(held) <= set(modules(room)), set(held) - set(modules(room))
        assert [module for module in held if unit_test_of(room, module).is_file()] == []
        assert [test for test in held.values() if not (ROOT / "tests" / test).is_file()] == []


def test_each_unit_test_of_a_room_has_the_path_of_a_module() -> None:
    mirrored = {unit_test_of(room, module) for room in ROOMS for module in modules(room)}
    tests = {path for folder in ROOMS.values() for path in (UNIT / folder).rglob("test_*.py")}
    assert {str(path.relative_to(UNIT)) for path in tests - mirrored} == set(BESIDE)
