"""What the store promises on SQLite it promises on PostgreSQL: the same tests."""

from tests.unit.shared.store.database.test_migrate import *  # noqa: F403
from tests.unit.shared.store.database.test_writer import *  # noqa: F403
from tests.unit.shared.store.messages.test_dead_letters import *  # noqa: F403
from tests.unit.shared.store.messages.test_notes import *  # noqa: F403
from tests.unit.shared.store.messages.test_outbox import *  # noqa: F403
from tests.unit.shared.store.messages.test_ticks import *  # noqa: F403
from tests.unit.shared.store.processes.test_heartbeats import *  # noqa: F403 - each is a test
from tests.unit.shared.store.processes.test_pauses import *  # noqa: F403
from tests.unit.shared.store.processes.test_shutdowns import *  # noqa: F403
from tests.unit.shared.store.queries.test_history import *  # noqa: F403
from tests.unit.shared.store.queries.test_reports import *  # noqa: F403
from tests.unit.shared.store.runs.test_cancels import *  # noqa: F403
from tests.unit.shared.store.runs.test_claim import *  # noqa: F403
from tests.unit.shared.store.runs.test_replay import *  # noqa: F403
from tests.unit.shared.store.runs.test_sessions import *  # noqa: F403
from tests.unit.shared.store.runs.test_steps import *  # noqa: F403
from tests.unit.shared.store.runs.test_suspects import *  # noqa: F403
from tests.unit.shared.store.runs.test_takeover import *  # noqa: F403
from tests.unit.shared.store.runs.test_tool_starts import *  # noqa: F403
from tests.unit.shared.store.test_damaged_rows import *  # noqa: F403
from tests.unit.shared.store.test_retention import *  # noqa: F403
