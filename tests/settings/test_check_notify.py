"""What [notify] takes, and that no refusal repeats what was written."""

from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings import Settings, load_settings

SERVER = 'smtp_url = "smtps://gw:hunter2@mail.example.com"\nmail_from = "gw@example.com"\n'
SECRET = "whsec_" + "QUJD" * 8


def read(folder: Path, notify: str) -> Settings:
    path = folder / "settings.toml"
    path.write_text(f"[notify]\n{notify}\n")
    return load_settings(path, {})


def test_mail_and_a_webhook(tmp_path: Path) -> None:
    hook = f'webhook_url = "http://10.0.0.1/x?token=1"\nwebhook_secret = "{SECRET}"'

    notify = read(tmp_path, f'{SERVER}mail_to = ["ops@example.com"]\n{hook}').notify

    assert notify.mail_to == ("ops@example.com",)
    assert notify.webhook_url.reveal() == "http://10.0.0.1/x?token=1"
    assert "hunter2" not in repr(notify)
    assert "token" not in repr(notify)
    assert SECRET not in repr(notify)


def test_the_folder_of_backups_is_relative_to_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, 'backup_folder = "backups"').backup_folder == tmp_path / "backups"
    assert read(tmp_path, "").backup_folder is None


@pytest.mark.parametrize(
    ("notify", "key"),
    [
        ('smtp_url = "mail.hunter2.example"\nmail_from = "a@b.example"', "smtp_url"),
        ('smtp_url = "smtp://hunter2@mail.example"\nmail_from = "a@b.example"', "smtp_url"),
        ('smtp_url = "smtp://mail.example/hunter2"\nmail_from = "a@b.example"', "smtp_url"),
        ('smtp_url = "smtp://mail.example:99999"\nmail_from = "a@b.example"', "smtp_url"),
        ('smtp_url = "smtp://mail.example"', "mail_from"),
        ('smtp_url = "smtp://mail.example"\nmail_from = "hunter2"', "mail_from"),
        ('mail_to = ["ops@example.com"]', "mail_to"),
        (f'{SERVER}mail_to = ["ops@example.com", "hunter2"]', "mail_to"),
        (f'{SERVER}mail_to = ["Ops<hunter2@example.com>"]', "mail_to"),
        ('webhook_url = "hooks.example/hunter2"', "webhook_url"),
        ('webhook_url = "https://hunter2@hooks.example/"', "webhook_url"),
        ('webhook_secret = "hunter2"', "webhook_secret"),
        ('webhook_secret = "whsec_aHVudGVyMg=="', "webhook_secret"),
        ("backup_max_age_hours = 0.5", "backup_max_age_hours"),
    ],
)
def test_a_mistake_names_the_key_and_repeats_nothing(tmp_path: Path, notify: str, key: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, notify)

    assert f"notify.{key}: " in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert "aHVudGVyMg" not in str(raised.value)
