"""What the store promises on SQLite it promises on PostgreSQL: the same tests."""

from tests.unit.shared.store.test_beats import *  # noqa: F403 - each is a test
from tests.unit.shared.store.test_cancels import *  # noqa: F403
from tests.unit.shared.store.test_claims import *  # noqa: F403
from tests.unit.shared.store.test_commits import *  # noqa: F403
from tests.unit.shared.store.test_damaged import *  # noqa: F403
from tests.unit.shared.store.test_dead_letters import *  # noqa: F403
from tests.unit.shared.store.test_forgetting import *  # noqa: F403
from tests.unit.shared.store.test_history import *  # noqa: F403
from tests.unit.shared.store.test_journal import *  # noqa: F403
from tests.unit.shared.store.test_migrate import *  # noqa: F403
from tests.unit.shared.store.test_notes import *  # noqa: F403
from tests.unit.shared.store.test_outbox import *  # noqa: F403
from tests.unit.shared.store.test_pauses import *  # noqa: F403
from tests.unit.shared.store.test_putting_off import *  # noqa: F403
from tests.unit.shared.store.test_readings import *  # noqa: F403
from tests.unit.shared.store.test_replay import *  # noqa: F403
from tests.unit.shared.store.test_retention import *  # noqa: F403
from tests.unit.shared.store.test_sessions import *  # noqa: F403
from tests.unit.shared.store.test_shutdowns import *  # noqa: F403
from tests.unit.shared.store.test_starts import *  # noqa: F403
from tests.unit.shared.store.test_suspects import *  # noqa: F403
from tests.unit.shared.store.test_taking import *  # noqa: F403
from tests.unit.shared.store.test_ticks import *  # noqa: F403
