"""Signed notes, keys and cosignatures as others publish them: the same bytes, the same verdicts."""

import base64

import pytest

from infra.tlog.checkpoint import read_checkpoint
from infra.tlog.note import WITNESS, BadNote, Signer, Verifier, read_note, read_vkey

# golang.org/x/mod, sumdb/note/note_test.go
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
ENOCH_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCH = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"

# A staging log for certificates as four public witnesses cosigned it
COSIGNED = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
"""  # noqa: E501
LOG_VKEY = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
WITNESS_VKEYS = [
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
]


def test_the_example_of_the_signed_note_text_is_verified_by_its_key() -> None:
    line = "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    key = read_vkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    assert read_note(f"This is an example message.\n\n{line}").signed_by([key]) == {"example.com/foo": None}


def test_go_and_we_make_the_same_key_and_the_same_signature() -> None:
    signer = Signer("PeterNeumann", SEED)
    assert signer.verifier.vkey == VKEY
    assert signer.line(TEXT) == PETER


def test_of_two_signatures_those_by_known_keys_count_and_no_other() -> None:
    peter, enoch = read_vkey(VKEY), read_vkey(ENOCH_VKEY)
    note = read_note(f"{TEXT}\n{PETER}{ENOCH}")
    assert note.signed_by([peter]) == {"PeterNeumann": None}
    assert note.signed_by([peter, enoch]) == {"PeterNeumann": None, "EnochRoot": None}
    assert note.signed_by([]) == note.signed_by([Verifier("PeterNeumann", enoch.public)]) == {}


def test_a_wrong_signature_by_a_known_key_spoils_the_note() -> None:
    for line in (PETER[:60] + "ABCD" + PETER[60:], PETER.replace("JnAM", "JnBM")):
        with pytest.raises(BadNote):
            read_note(f"{TEXT}\n{line}").signed_by([read_vkey(VKEY)])


@pytest.mark.parametrize(
    "raw",
    [
        TEXT,
        f"{TEXT}\n",
        f"{TEXT}\n{PETER[:-1]}",
        f"\x01{TEXT}\n{PETER}",
        f"{TEXT}\n{PETER.replace('PeterNeumann', 'Bad Name')}",
        f"{TEXT}\n{PETER}Unexpected line.\n",
        f"{TEXT}\n{PETER * 101}",
    ],
)
def test_what_go_calls_malformed_is_no_note_here_either(raw: str) -> None:
    with pytest.raises(BadNote):
        read_note(raw)


def test_no_part_of_a_key_and_no_key_with_another_character_is_a_key() -> None:
    mangled = [VKEY[start:end] for start in range(len(VKEY)) for end in range(start, len(VKEY) + 1)]
    mangled += [VKEY[:at] + chr(ord(VKEY[at]) + 1) + VKEY[at + 1 :] for at in range(len(VKEY))]
    mangled += [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",  # too long, with the id of that
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # of an unknown type, likewise
    ]
    for vkey in set(mangled) - {VKEY}:
        with pytest.raises(BadNote):
            read_vkey(vkey)


def test_a_real_checkpoint_holds_the_cosignatures_of_its_witnesses_with_their_time() -> None:
    checkpoint, note = read_checkpoint(COSIGNED)
    assert (checkpoint.origin, checkpoint.size) == ("arche2025h1.staging.ct.transparency.dev", 1_432_088_532)
    assert note.text == checkpoint.text
    keys = [read_vkey(vkey) for vkey in WITNESS_VKEYS]
    assert {key.type for key in keys} == {WITNESS}
    assert note.signed_by([read_vkey(LOG_VKEY), *keys]) == {checkpoint.origin: None} | {
        key.name: 1_779_573_024 for key in keys
    }


def test_a_cosignature_over_another_size_is_wrong() -> None:
    note = read_checkpoint(COSIGNED.replace("1432088532", "1432088533"))[1]
    for vkey in WITNESS_VKEYS:
        with pytest.raises(BadNote):
            note.signed_by([read_vkey(vkey)])


def test_what_a_witness_signs_is_text_and_time() -> None:
    text = "example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    signer = Signer("example.com/witness", SEED, WITNESS)
    line = signer.line(text, 1_779_573_024)
    assert read_note(f"{text}\n{line}").signed_by([signer.verifier]) == {"example.com/witness": 1_779_573_024}
    as_log = Verifier("example.com/witness", signer.verifier.public)
    assert read_note(f"{text}\n{line}").signed_by([as_log]) == {}
