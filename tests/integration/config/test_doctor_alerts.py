"""`tradeactors doctor --send-alert`: whether alerts arrive, before they are needed."""

from pydantic import SecretStr

from config.commands.base.findings import Level
from config.commands.doctor import look_at_alerts
from config.settings import Settings
from tests.kit.alerts import AlertInbox


async def test_a_test_alert_arrives_or_is_said_not_to() -> None:
    with AlertInbox() as inbox:
        there, nobody, nonsense = map(SecretStr, (inbox.url, "json://127.0.0.1:9/", "nothing at all"))
        settings = Settings.model_construct(alert_urls=(there, nobody, nonsense))
        silent = await look_at_alerts(settings, send=False)
        assert ([finding.level for finding in silent], inbox.all_codes) == ([Level.OK, Level.OK, Level.FAILURE], [])
        tried = await look_at_alerts(settings, send=True)
        assert [finding.level for finding in tried] == [Level.OK, Level.FAILURE, Level.FAILURE]
        assert inbox.all_codes == ["TradeActors"]
    assert not any("127.0.0.1" in finding.sentence for finding in tried), "an address may hold a secret"
