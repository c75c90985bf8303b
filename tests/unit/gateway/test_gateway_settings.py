"""Settings: a wrong value stops the start and names its variable; secrets come from files."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest
from support.certificates import Authority

from gateway.services.access.rate_limits import Rate
from gateway.settings import Settings, read_settings
from shared.secret_rules import SettingsError

RANDOM = "dC9sQm3bYb1Zk7vJx2TqLw8RnHfGp5Ae"
SECRETS = ("GATEWAY_SECRET_KEY", "MODEL_SERVICE_SECRET")
"""Those without which production does not start."""

VARIABLES = {
    "MONGOD_PORT": ("mongod_port", "27118", 27118),
    "MONGODB_URI": ("mongodb_uri", "mongodb://db.example:27018/bank", "mongodb://db.example:27018/bank"),
    "MONGODB_USERNAME": ("mongodb_username", "gateway", "gateway"),
    "MONGODB_PASSWORD": ("mongodb_password", "s3cret", "s3cret"),
    "MONGODB_TIMEOUT": ("mongodb_timeout", "1.5", 1.5),
    "QUERY_TIMEOUT": ("query_timeout", "0.25", 0.25),
    "MODEL_SERVICE_URL": ("model_service_url", "https://model:8443/base", "https://model:8443/base"),
    "ASSIGNMENT_DEADLINE": ("assignment_deadline", "0.25", 0.25),
    "PREDICTION_DEADLINE": ("prediction_deadline", "1", 1.0),
    "BULK_DEADLINE": ("bulk_deadline", "60", 60.0),
    "ANALYSIS_DEADLINE": ("analysis_deadline", "900", 900.0),
    "GATEWAY_HOST": ("host", "0.0.0.0", "0.0.0.0"),
    "GATEWAY_PORT": ("port", "9000", 9000),
    "GATEWAY_WORKERS": ("workers", "2", 2),
    "GATEWAY_THREADS": ("threads", "8", 8),
    "RATE_LIMIT": ("rate_limit", "9 per second; 500/day", (Rate(9, 1), Rate(500, 86_400))),
    "RATE_LIMIT_BULK": ("rate_limit_bulk", "5 per 2 minutes", (Rate(5, 120),)),
    "RATE_LIMIT_ANONYMOUS": ("rate_limit_anonymous", "10/hour", (Rate(10, 3600),)),
    "TRUSTED_PROXIES": ("trusted_proxies", "1", 1),
    "CORS_ORIGINS": (
        "cors_origins",
        "https://crm.example,http://localhost:3000,https://[2001:db8::1]:8443,http://127.0.0.1",
        ("https://crm.example", "http://localhost:3000", "https://[2001:db8::1]:8443", "http://127.0.0.1"),
    ),
    "HSTS_SECONDS": ("hsts_seconds", "0", 0),
    "GATEWAY_MAX_BODY_BYTES": ("max_body_bytes", "4096", 4096),
    "GATEWAY_MAX_UPLOAD_BYTES": ("max_upload_bytes", "5000000000", 5_000_000_000),
    "WORKER_INTERVAL": ("worker_interval", "0.5", 0.5),
    "WORKER_HEARTBEAT": ("worker_heartbeat", "/tmp/beat", Path("/tmp/beat")),
    "LOG_LEVEL": ("log_level", "DEBUG", "DEBUG"),
    "LOG_FORMAT": ("log_format", "text", "text"),
    "CURRENCY": ("currency", "EUR", "EUR"),
    "DELETED_RETENTION_DAYS": ("deleted_retention_days", "0", 0),
    "REQUIRE_IF_MATCH": ("require_if_match", "true", True),
    "IDEMPOTENCY_HOURS": ("idempotency_hours", "48", 48),
    "AUDIT_RETENTION_DAYS": ("audit_retention_days", "30", 30),
    "HISTORY_RETENTION_DAYS": ("history_retention_days", "31", 31),
    "IMPORT_RETENTION_DAYS": ("import_retention_days", "7", 7),
    "GATEWAY_UPLOAD_FOLDER": ("upload_folder", "/tmp", Path("/tmp")),
    "DEPLOYMENT": ("deployment", "production", "production"),
    "GATEWAY_SECRET_KEY": ("secret_key", RANDOM, RANDOM),
    "MODEL_SERVICE_SECRET": ("model_service_secret", RANDOM, RANDOM),
    "METRICS_NETWORKS": ("metrics_networks", "10.0.0.0/8, ::1", (IPv4Network("10.0.0.0/8"), IPv6Network("::1"))),
    "METRICS_PORT": ("metrics_port", "9100", 9100),
    "DRIFT_HOURS": ("drift_hours", "0.5", 0.5),
    "WEBHOOK_NETWORKS": ("webhook_networks", "10.1.0.0/16", (IPv4Network("10.1.0.0/16"),)),
    "WEBHOOK_TIMEOUT": ("webhook_timeout", "2.5", 2.5),
    "WEBHOOK_GIVE_UP_HOURS": ("webhook_give_up_hours", "0.5", 0.5),
    "WEBHOOK_LOG_DAYS": ("webhook_log_days", "3", 3),
    "OIDC_ISSUER": ("oidc_issuer", "https://login.example/realm", "https://login.example/realm"),
    "OIDC_AUDIENCE": ("oidc_audience", "segmentation", "segmentation"),
    "OIDC_JWKS_URL": ("oidc_jwks_url", "https://login.example/keys", "https://login.example/keys"),
    "OIDC_ALGORITHMS": ("oidc_algorithms", "PS256,EdDSA", ("PS256", "EdDSA")),
    "OIDC_SCOPE_PREFIX": ("oidc_scope_prefix", "api://segmentation/", "api://segmentation/"),
    "OIDC_CLIENT_ID": ("oidc_client_id", "pages", "pages"),
    "OIDC_CLIENT_SECRET": ("oidc_client_secret", "only we know", "only we know"),
    "OIDC_SCOPES": ("oidc_scopes", "openid api://segmentation/.default", "openid api://segmentation/.default"),
}


@pytest.fixture(autouse=True)
def _only_secrets_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    for name in SECRETS:
        monkeypatch.setenv(name, RANDOM)


def test_development_needs_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DEPLOYMENT", "development")
    assert read_settings() == Settings(deployment="development")


class TestSecrets:
    @pytest.mark.parametrize("name", SECRETS)
    def test_are_required_in_production(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.delenv(name)
        with pytest.raises(SettingsError, match=f"{name}.*is missing"):
            read_settings()

    @pytest.mark.parametrize("name", SECRETS)
    def test_of_this_repository_are_refused_in_production(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv(name, Settings.model_fields[VARIABLES[name][0]].default)
        with pytest.raises(SettingsError, match=f"{name}.*placeholder"):
            read_settings()

    @pytest.mark.parametrize("name", SECRETS)
    def test_that_are_weak_are_refused_without_quoting_them(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv(name, "hunter2")
        with pytest.raises(SettingsError, match=f"{name}.*too short") as caught:
            read_settings()
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("name", SECRETS)
    def test_may_be_weak_in_development(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv("DEPLOYMENT", "development")
        monkeypatch.setenv(name, "weak")
        assert getattr(read_settings(), VARIABLES[name][0]) == "weak"

    @pytest.mark.parametrize("name", SECRETS)
    def test_come_from_files(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
        (tmp_path / "secret").write_text(f"{RANDOM[::-1]}\n", encoding="utf-8")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
        assert getattr(read_settings(), VARIABLES[name][0]) == RANDOM[::-1]

    @pytest.mark.parametrize("name", SECRETS)
    def test_from_an_empty_file_are_missing(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
        (tmp_path / "secret").touch()
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
        with pytest.raises(SettingsError, match=f"{name}.*is missing"):
            read_settings()


def _with_certificates(folder: Path) -> dict[str, tuple[str, str, object]]:
    authority, files = Authority(folder), {}
    own = authority.pair("gateway")
    for name, file in {"CA": authority.cert, "CLIENT_CERT": own.cert, "CLIENT_KEY": own.key}.items():
        files[f"MODEL_SERVICE_{name}"] = (f"model_service_{name.lower()}", str(file), file)
    files["WEBHOOK_CA"] = ("webhook_ca", str(authority.cert), authority.cert)
    return {**VARIABLES, **files}


def test_every_setting_has_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    variables = _with_certificates(tmp_path)
    for name, (_, text, _) in variables.items():
        monkeypatch.setenv(name, text)
    settings = read_settings()
    assert {attribute for attribute, _, _ in variables.values()} == set(Settings.model_fields)
    assert {a: getattr(settings, a) for a, _, _ in variables.values()} == {a: v for a, _, v in variables.values()}


def test_a_certificate_and_another_ones_key_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("MODEL_SERVICE_CLIENT_CERT", str(authority.pair("gateway").cert))
    monkeypatch.setenv("MODEL_SERVICE_CLIENT_KEY", str(authority.pair("another").key))
    with pytest.raises(SettingsError, match="MODEL_SERVICE_CLIENT_CERT and MODEL_SERVICE_CLIENT_KEY"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGODB_URI", ""),
        ("MONGODB_URI", "localhost:27017/bank"),
        ("MONGODB_URI", "mongodb://localhost:27017/"),
        ("MONGODB_URI", "mongodb://localhost:99999/bank"),
        ("MONGODB_URI", "mongodb://user:p@ss@localhost/bank"),
        ("METRICS_NETWORKS", "10.0.0.1/8"),
        ("METRICS_NETWORKS", "10.0.0.0/8,"),
        ("METRICS_NETWORKS", "prometheus"),
        ("DELETED_RETENTION_DAYS", "-1"),
        ("DELETED_RETENTION_DAYS", "3661"),
        ("DELETED_RETENTION_DAYS", "1.5"),
        ("REQUIRE_IF_MATCH", "perhaps"),
        ("MONGODB_TIMEOUT", "0"),
        ("QUERY_TIMEOUT", "0"),
        ("MONGODB_TIMEOUT", "soon"),
        ("MONGODB_TIMEOUT", "nan"),
        ("MONGODB_TIMEOUT", "inf"),
        ("MODEL_SERVICE_URL", ""),
        ("MODEL_SERVICE_URL", "model:8001"),
        ("MODEL_SERVICE_URL", "ftp://model:8001"),
        ("MODEL_SERVICE_URL", "http://"),
        ("MODEL_SERVICE_URL", "http://model:99999"),
        ("MODEL_SERVICE_URL", "http://model:port"),
        ("MODEL_SERVICE_URL", "http://model:0"),
        ("MODEL_SERVICE_URL", "http://[::1"),
        ("ASSIGNMENT_DEADLINE", "-1"),
        ("PREDICTION_DEADLINE", "0"),
        ("BULK_DEADLINE", "x"),
        ("ANALYSIS_DEADLINE", "0"),
        ("ANALYSIS_DEADLINE", "1e9"),
        ("GATEWAY_MAX_UPLOAD_BYTES", "1023"),
        ("GATEWAY_MAX_UPLOAD_BYTES", "1e9"),
        ("GATEWAY_PORT", "0"),
        ("GATEWAY_PORT", "65536"),
        ("GATEWAY_PORT", "8000.5"),
        ("GATEWAY_WORKERS", "0"),
        ("GATEWAY_THREADS", "none"),
        ("RATE_LIMIT", ""),
        ("RATE_LIMIT", "many"),
        ("RATE_LIMIT", "0 per minute"),
        ("RATE_LIMIT", "5 per fortnight"),
        ("RATE_LIMIT", "5/minute;5/minute"),
        ("RATE_LIMIT", "5/minute;"),
        ("RATE_LIMIT", "5 minutes"),
        ("RATE_LIMIT", "5 per 0 minutes"),
        ("RATE_LIMIT", "5.5/minute"),
        ("RATE_LIMIT", "\u0665/minute"),
        ("RATE_LIMIT_BULK", "-1/minute"),
        ("RATE_LIMIT_ANONYMOUS", "1 per 0 seconds x"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "all"),
        ("CORS_ORIGINS", "crm.example"),
        ("CORS_ORIGINS", "https://crm.example/"),
        ("CORS_ORIGINS", "https://CRM.example"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://*.crm.example"),
        ("CORS_ORIGINS", "https://crm.example,*"),
        ("CORS_ORIGINS", "https://crm.example, https://app.example"),
        ("CORS_ORIGINS", "https://crm.example,"),
        ("CORS_ORIGINS", "https://(crm|app).example"),
        ("CORS_ORIGINS", "https://crm.example$"),
        ("CORS_ORIGINS", "https://crm[.]example"),
        ("CORS_ORIGINS", "https://crm..example"),
        ("CORS_ORIGINS", r"https://.+\.crm\.example"),
        ("CORS_ORIGINS", "https://crm.example:443"),
        ("CORS_ORIGINS", "http://crm.example:80"),
        ("CORS_ORIGINS", "https://crm.example:0443"),
        ("CORS_ORIGINS", "https://crm.example:"),
        ("CORS_ORIGINS", "https://crm.example:70000"),
        ("CORS_ORIGINS", "https://me@crm.example"),
        ("CORS_ORIGINS", "https://crm.example?"),
        ("CORS_ORIGINS", "https://crm.example#"),
        ("CORS_ORIGINS", "https://b\u00fccher.example"),
        ("CORS_ORIGINS", "https://127.1"),
        ("CORS_ORIGINS", "https://[::1"),
        ("CORS_ORIGINS", "https://[0:0:0:0:0:0:0:1]"),
        ("CORS_ORIGINS", "https://[fe80::1%eth0]"),
        ("CORS_ORIGINS", "https://"),
        ("CORS_ORIGINS", "file://crm"),
        ("HSTS_SECONDS", "-1"),
        ("GATEWAY_MAX_BODY_BYTES", "10"),
        ("WORKER_INTERVAL", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("DEPLOYMENT", ""),
        ("DEPLOYMENT", "dev"),
        ("GATEWAY_SECRET_KEY_FILE", "/nowhere/at/all"),
        ("MODEL_SERVICE_CA", "/nowhere/at/all"),
        ("MODEL_SERVICE_CA", __file__),
        ("MODEL_SERVICE_CLIENT_CERT", "/"),
        ("MODEL_SERVICE_CLIENT_CERT", __file__),
        ("MODEL_SERVICE_CLIENT_KEY", __file__),
        ("OIDC_ISSUER", "login.example"),
        ("OIDC_ISSUER", "http://login.example"),
        ("OIDC_ISSUER", "https://login.example"),
        ("OIDC_AUDIENCE", "segmentation"),
        ("OIDC_AUDIENCE", ""),
        ("OIDC_AUDIENCE", "*"),
        ("OIDC_AUDIENCE", "api://*"),
        ("OIDC_ISSUER", "https://*.login.example"),
        ("OIDC_JWKS_URL", "https://*.login.example/keys"),
        ("MODEL_SERVICE_URL", "http://*:8001"),
        ("OIDC_JWKS_URL", "http://login.example/keys"),
        ("OIDC_CLIENT_ID", "pages"),
        ("OIDC_CLIENT_SECRET", "only we know"),
        ("OIDC_SCOPES", "profile"),
        ("OIDC_ALGORITHMS", ""),
        ("OIDC_ALGORITHMS", "none"),
        ("OIDC_ALGORITHMS", "RS256,HS256"),
        ("OIDC_ALGORITHMS", "rs256"),
        ("MONGODB_PASSWORD_FILE", "/nowhere/at/all"),
        ("MONGODB_PASSWORD_FILE", "/"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        read_settings()


def test_every_wrong_value_is_named_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MONGOD_PORT", "MONGODB_TIMEOUT", "LOG_LEVEL"):
        monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert [fault.split('"')[1] for fault in str(caught.value).split("; ")] == [
        "MONGOD_PORT",
        "MONGODB_TIMEOUT",
        "LOG_LEVEL",
    ]


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("12000 per minute; 200000 per day", (Rate(12_000, 60), Rate(200_000, 86_400))),
        ("1/second", (Rate(1, 1),)),
        ("5 Per 2 Hours", (Rate(5, 7_200),)),
        ("1 per month|2 / year,3/3days", (Rate(1, 2_592_000), Rate(2, 31_104_000), Rate(3, 259_200))),
    ],
)
def test_rates_are_spelt_as_people_say_them(monkeypatch: pytest.MonkeyPatch, text: str, rates: tuple[Rate]) -> None:
    monkeypatch.setenv("RATE_LIMIT", text)
    assert read_settings().rate_limit == rates


def test_a_variable_has_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "host", "PORT", "threads", "GATEWAY_MONGODB_URI", "mongodb_uri", "GATEWAY_threads"):
        monkeypatch.setenv(name, "1")
    settings = read_settings()
    assert (settings.host, settings.port, settings.threads) == ("127.0.0.1", 8000, 4)
    assert settings.mongodb_uri.endswith("27117/segmentation?replicaSet=rs0")


def test_a_secret_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from a file\n", encoding="utf-8")
    monkeypatch.setenv("MONGODB_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("MONGODB_PASSWORD", "from the environment")
    monkeypatch.setenv("MONGODB_USERNAME", "gateway")
    assert read_settings().mongodb_password == "from a file"


@pytest.mark.parametrize("alone", ["MONGODB_USERNAME", "MONGODB_PASSWORD"])
def test_half_of_the_credentials_is_refused(monkeypatch: pytest.MonkeyPatch, alone: str) -> None:
    monkeypatch.setenv(alone, "x")
    with pytest.raises(SettingsError, match="MONGODB_USERNAME and MONGODB_PASSWORD"):
        read_settings()


def test_the_server_stops_a_query_before_the_gateway_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_TIMEOUT", "1")
    assert read_settings().query_timeout < 1
    monkeypatch.setenv("QUERY_TIMEOUT", "1")
    with pytest.raises(SettingsError, match="QUERY_TIMEOUT must be shorter"):
        read_settings()


def test_a_wrong_address_does_not_tell_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://user:hunter2@localhost:27017")
    with pytest.raises(SettingsError, match="MONGODB_URI") as caught:
        read_settings()
    assert "hunter2" not in str(caught.value)
