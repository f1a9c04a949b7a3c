"""What is in the test domain, written straight into the controller's database.

directory.py CONF SAM seed FILE                     make the accounts, groups, rights and policies; list them in FILE
directory.py CONF SAM refresh ADDRESS               renew what passes with time (the lockout of `locked`), and let
                                                    the domain's DNS say that its controller is at that address
directory.py CONF SAM attr USER ATTRIBUTE VALUE     write one attribute as it is
"""

import json
import sys
import time
import uuid

import ldb
from samba import unix2nttime
from samba.auth import system_session
from samba.dcerpc import dnsp, security
from samba.ndr import ndr_pack, ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB

PASSWORD = "Start-Pw0rd!1"
POOL = 80

# Past the module that hashes passwords and guards pwdLastSet, badPwdCount and lockoutTime.
BYPASS = ["local_oid:1.3.6.1.4.1.7165.4.3.12:0"]

RESET_PASSWORD = "00299570-246d-11d0-a768-00aa006e0529"
CHANGE_PASSWORD = "ab721a53-1e2f-11d0-9819-00aa0040529b"
LOCKOUT_TIME = "28630ebf-41d5-11d1-a9c1-0000f80367c1"
PWD_LAST_SET = "bf967a0a-0de6-11d0-a285-00aa003049e2"
USER = "bf967aba-0de6-11d0-a285-00aa003049e2"

NORMAL, DISABLED, NEVER_EXPIRES = 0x200, 0x2, 0x10000
DAY, MINUTE = 864000000000, 600000000


def connect(conf, sam):
    lp = LoadParm()
    lp.load(conf)
    lp.set("log level", "0")
    return SamDB(url=sam, session_info=system_session(), lp=lp)


def filetime(seconds=0):
    return str(unix2nttime(int(time.time() + seconds)))


def replace(dn, controls=(), **values):
    message = ldb.Message(ldb.Dn(db, dn))
    for name, value in values.items():
        message[name] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, name)
    db.modify(message, controls=list(controls))


def add_member(group, member):
    message = ldb.Message(ldb.Dn(db, group))
    message["member"] = ldb.MessageElement(member, ldb.FLAG_MOD_ADD, "member")
    db.modify(message)


def child(name, parent):
    dn = ldb.Dn(db, f"CN=x,{parent}")
    dn.set_component(0, "CN", name)
    return str(dn)


def sid(dn):
    found = db.search(dn, ldb.SCOPE_BASE, attrs=["objectSid"])
    return str(ndr_unpack(security.dom_sid, found[0]["objectSid"][0]))


def grant(dn, *entries):
    """Puts access control entries in front of those that the object has."""
    domain = security.dom_sid(db.get_domain_sid())
    found = db.search(dn, ldb.SCOPE_BASE, attrs=["nTSecurityDescriptor"], controls=["sd_flags:1:4"])
    old = ndr_unpack(security.descriptor, found[0]["nTSecurityDescriptor"][0]).as_sddl(domain)
    at = old.index("(")
    new = security.descriptor.from_sddl(old[:at] + "".join(entries) + old[at:], domain)
    replace(dn, ["sd_flags:1:4"], nTSecurityDescriptor=ndr_pack(new))


class Seed:
    def __init__(self):
        self.users = {}
        self.groups = {}
        for name in ("People", "Other", "Groups", "Service"):
            db.add({"dn": f"OU={name},{base}", "objectClass": "organizationalUnit"})
        self.people, self.groups_ou = f"OU=People,{base}", f"OU=Groups,{base}"
        self.policy()
        self.plain_users()
        self.states()
        self.odd_names()
        self.protected()
        self.nested_groups()
        self.fine_grained_policy()
        self.service_accounts()

    def user(self, name, ou="People", cn=None, password=PASSWORD, flags=NORMAL, **attributes):
        dn = child(cn or name, f"OU={ou},{base}")
        attributes.setdefault("displayName", cn or name)
        entry = {"dn": dn, "objectClass": "user", "sAMAccountName": name, "userAccountControl": str(flags)}
        db.add({**entry, **attributes, "clearTextPassword": password.encode("utf-16-le")})
        self.users[name] = {"dn": dn, "password": password}
        return dn

    def group(self, name, *members):
        dn = child(name, self.groups_ou)
        db.add({"dn": dn, "objectClass": "group", "sAMAccountName": name.replace(",", "")})
        for member in members:
            add_member(dn, member)
        self.groups[name] = {"dn": dn}
        return dn

    def policy(self):
        replace(base, minPwdLength="8", pwdProperties="1", pwdHistoryLength="3", minPwdAge="0", maxPwdAge=str(-42 * DAY),
                lockoutThreshold="5", lockoutDuration=str(-30 * MINUTE), lockOutObservationWindow=str(-30 * MINUTE))

    def plain_users(self):
        for n, name in enumerate(("alice", "bob", "carol", "dave", "erin", "frank")):
            self.user(name, displayName=f"{name.title()} Example", givenName=name.title(), sn="Example",
                      mail=f"{name}@mail.example", mobile=f"+44 7700 90012{n}",
                      userPrincipalName=f"{name}@{dns}")
        # For tests that run side by side: each takes one for itself.
        for n in range(POOL):
            name = f"t{n:02}"
            self.user(name, mail=f"{name}@mail.example", mobile=f"+44 7700 9002{n:02}", userPrincipalName=f"{name}@{dns}")

    def states(self):
        self.user("disabled", flags=NORMAL | DISABLED)
        replace(self.user("expired"), BYPASS, pwdLastSet=filetime(-400 * 86400))
        replace(self.user("mustchange"), pwdLastSet="0")
        self.user("acctexpired", accountExpires=filetime(-30 * 86400))
        self.user("locked")
        self.user("never", flags=NORMAL | NEVER_EXPIRES)
        grant(self.user("cannotchange"), *(f"(OD;;CR;{CHANGE_PASSWORD};;{who})" for who in ("WD", "PS")))
        # Where the service account has no rights.
        self.user("otherou", ou="Other")

    def odd_names(self):
        self.user("flast", cn="Last, First", displayName="First Last", userPrincipalName="first.last@mail.example")
        self.user("backslash", cn="back\\slash + plus, comma")
        self.user("star", cn="a*b (c)")
        for name in ("o'brien", "müller"):
            self.user(name, userPrincipalName=f"{name}@{dns}")
        self.user("trail ", cn="trailing blank")
        self.user("smith (ext)")
        self.user("日本")

    def protected(self):
        """An administrator as AD's SDProp task leaves one: Samba has no such task."""
        dn = self.user("protected")
        add_member(f"CN=Domain Admins,CN=Users,{base}", dn)
        everything = "RPWPCRCCDCLCLORCWOWDSDDTSW"
        sddl = ("O:DAG:DAD:PAI" + "".join(f"(A;;{everything};;;{who})" for who in ("DA", "EA", "BA", "SY")) + "(A;;RPLCLORC;;;AU)"
                + "".join(f"(OA;;CR;{CHANGE_PASSWORD};;{who})" for who in ("WD", "PS")))
        descriptor = security.descriptor.from_sddl(sddl, security.dom_sid(db.get_domain_sid()))
        replace(dn, ["sd_flags:1:7"], nTSecurityDescriptor=ndr_pack(descriptor))
        replace(dn, adminCount="1")

    def nested_groups(self):
        inner = self.group("Inner", self.user("nested"))
        middle = self.group("Middle", inner)
        self.group("SSPR-Users", middle, *(self.users[name]["dn"] for name in ("alice", "bob", "carol")))
        self.group("SSPR-Denied", self.users["frank"]["dn"])
        self.group("Parens (x), y", self.users["dave"]["dn"])

    def fine_grained_policy(self):
        vips = self.group("VIPs", self.user("vip", password="Start-Passw0rd!1"))
        self.psos = f"CN=Password Settings Container,CN=System,{base}"
        db.add({"dn": f"CN=VIPs,{self.psos}", "objectClass": "msDS-PasswordSettings", "msDS-PSOAppliesTo": vips,
                "msDS-PasswordSettingsPrecedence": "10", "msDS-PasswordReversibleEncryptionEnabled": "FALSE",
                "msDS-MinimumPasswordLength": "14", "msDS-PasswordComplexityEnabled": "TRUE", "msDS-PasswordHistoryLength": "5",
                "msDS-MinimumPasswordAge": "0", "msDS-MaximumPasswordAge": str(-30 * DAY), "msDS-LockoutThreshold": "3",
                "msDS-LockoutDuration": str(-15 * MINUTE), "msDS-LockoutObservationWindow": str(-15 * MINUTE)})

    def service_accounts(self):
        self.user("svc-weak", ou="Service", flags=NORMAL | NEVER_EXPIRES)
        who = sid(self.user("svc-sspr", ou="Service", flags=NORMAL | NEVER_EXPIRES))
        grant(self.people, f"(OA;CIIO;CR;{RESET_PASSWORD};{USER};{who})",
              f"(OA;CIIO;RPWP;{LOCKOUT_TIME};{USER};{who})", f"(OA;CIIO;RPWP;{PWD_LAST_SET};{USER};{who})")
        grant(self.psos, f"(A;CI;RPLCRC;;;{who})")

    def listing(self):
        for record in (*self.users.values(), *self.groups.values()):
            found = db.search(record["dn"], ldb.SCOPE_BASE, attrs=["objectGUID"])
            record["guid"] = str(uuid.UUID(bytes_le=found[0]["objectGUID"][0]))
            record["sid"] = sid(record["dn"])
        return {"pool": POOL, "users": self.users, "groups": self.groups}


def refresh(address):
    now = filetime()
    replace(f"CN=locked,OU=People,{base}", BYPASS, lockoutTime=now, badPasswordTime=now, badPwdCount="5")
    record = dnsp.DnssrvRpcRecord()
    record.wType, record.data = dnsp.DNS_TYPE_A, address
    record.rank, record.dwTtlSeconds = dnsp.DNS_RANK_ZONE, 900
    replace(f"DC=dc1,DC={dns},CN=MicrosoftDNS,DC=DomainDnsZones,{base}", dnsRecord=ndr_pack(record))


def write_attribute(name, attribute, value):
    found = db.search(base, ldb.SCOPE_SUBTREE, f"(sAMAccountName={ldb.binary_encode(name)})", attrs=["sAMAccountName"])
    # The search takes "trail " for "trail".
    exact = [str(entry.dn) for entry in found if str(entry["sAMAccountName"][0]).lower() == name.lower()]
    if len(exact) != 1:
        sys.exit(f"{len(exact)} accounts are named {name!r}")
    if value.startswith("now"):
        value = filetime(int(value[3:] or 0))
    replace(exact[0], BYPASS, **{attribute: value})


conf, sam, command, *rest = sys.argv[1:]
db = connect(conf, sam)
base = str(db.domain_dn())
dns = db.domain_dns_name()
if command == "seed":
    db.transaction_start()
    seed = Seed()
    db.transaction_commit()
    with open(rest[0], "w", encoding="utf-8") as file:
        json.dump(seed.listing(), file, indent=1, ensure_ascii=False)
elif command == "refresh":
    refresh(*rest)
elif command == "attr":
    write_attribute(*rest)
