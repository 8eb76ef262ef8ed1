"""What is asked of a control plane that takes over what runs on a swarm: adopt and prove, propose, apply, let go."""

from __future__ import annotations

ADOPT = """
from provisioning.importing.actions import adopt, look, prove
live = look(org=org, only=ONLY, formerly=FORMERLY)
done = adopt(org=org, live=live, actor=alice)
proof = prove(org=org, adoption=done)
said = [note.message for note in live.estate.all_remarks() if note.rule == "import.not-modelled"]
known = {item.name: item.facts.get("component", "") for item in live.estate.of("service")}
say({"taken": dict(done.taken), "left": dict(done.left), "normalised": dict(done.normalised), "unknown": done.unknown,
     "proof": proof.words(), "holds": proof.holds, "steps": dict(proof.steps), "said": said, "known": known})
"""
PROPOSE = """
from blueprints.actions import current_blueprint
from provisioning.materials import rendering_of
row = current_blueprint(org=org, actor=alice)
plan = actions.propose(org=org, blueprint=row, actor=alice)
say({"id": plan.pk, "steps": {s["resource"]: [s["op"], s.get("fields", [])] for s in plan.steps}, "files": dict(rendering_of(row).files), "state": plan.state})
"""
APPLY = """
plan = Plan.objects.get(pk=ID)
plan = actions.approve(plan=plan, actor=alice, reason="as it runs")
run = actions.run_here(actions.apply(plan=plan, actor=alice, ring=False))
say({**brief(run), "events": [e.message or e.resource for e in run.events.all()]})
"""
LET_GO = """
from provisioning.importing.actions import un_adopt
un_adopt(org=org, actor=alice)
say([e.what for e in org.audit_events.all()][:3])
"""
